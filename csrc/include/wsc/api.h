/* Marks of functions. */
#ifndef WSC_API_H
#define WSC_API_H

/* A function of the public headers. A shared object is compiled with WSC_SHARED and
 * -fvisibility=hidden, and shows these and nothing else. */
#if defined(WSC_SHARED) && (defined(__GNUC__) || defined(__clang__))
#define WSC_API __attribute__((visibility("default")))
#else
#define WSC_API
#endif

/* The result says whether it worked, and must be looked at. */
#if defined(__GNUC__) || defined(__clang__)
#define WSC_NODISCARD __attribute__((warn_unused_result))
#else
#define WSC_NODISCARD
#endif

#endif
