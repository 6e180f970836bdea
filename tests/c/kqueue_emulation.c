/* kqueue by epoll: a set for each of the two filters, and both in a third, which is the
 * queue. As with the real one
 *  - a socket that is readable and writable gives two events, here far apart;
 *  - an event says EV_EOF when the peer is gone;
 *  - an event of the user's is given once, and then not before it is triggered again;
 *  - a closed descriptor leaves the queue, though it may have been duplicated;
 *  - a child after fork() does not have the queue, and its number is free.
 * Faults come by epoll_ctl and epoll_wait, which are io_shim.c's in the C tests. */

#ifdef WSC_POLLER_KQUEUE

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/event.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define QUEUES 256

struct queue {
    int fd; /* the third set; 0: the entry is free */
    int read;
    int write;
    int user; /* an eventfd in the third set, or 0 */
    bool write_first;
};

static struct queue queues[QUEUES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int raw_close(int fd)
{
    return (int)syscall(SYS_close, fd);
}

static void forget(struct queue *queue)
{
    (void)raw_close(queue->fd);
    (void)raw_close(queue->read);
    (void)raw_close(queue->write);
    if (queue->user != 0) {
        (void)raw_close(queue->user);
    }
    queue->fd = 0;
}

static void before_fork(void)
{
    (void)pthread_mutex_lock(&lock);
}

static void after_fork_in_parent(void)
{
    (void)pthread_mutex_unlock(&lock);
}

static void after_fork_in_child(void)
{
    for (size_t i = 0; i < QUEUES; i++) {
        if (queues[i].fd != 0) {
            forget(&queues[i]);
        }
    }
    (void)pthread_mutex_unlock(&lock);
}

static void watch_forks(void)
{
    (void)pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* With the lock held; a free entry for 0. */
static struct queue *find(int fd)
{
    for (size_t i = 0; i < QUEUES; i++) {
        if (queues[i].fd == fd) {
            return &queues[i];
        }
    }
    return NULL;
}

static int new_set(int outer)
{
    int set = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    if (set >= 0 && outer >= 0 &&
        syscall(SYS_epoll_ctl, outer, EPOLL_CTL_ADD, set, &event) < 0) {
        (void)raw_close(set);
        return -1;
    }
    return set;
}

int kqueue(void)
{
    (void)pthread_once(&once, watch_forks);
    int fd = new_set(-1);
    int read = fd < 0 ? -1 : new_set(fd);
    int write = read < 0 ? -1 : new_set(fd);
    if (write < 0) {
        int error = errno;
        (void)(read >= 0 && raw_close(read));
        (void)(fd >= 0 && raw_close(fd));
        errno = error;
        return -1;
    }
    (void)pthread_mutex_lock(&lock);
    struct queue *queue = find(0);
    if (queue == NULL) {
        abort();
    }
    *queue = (struct queue){.fd = fd, .read = read, .write = write};
    (void)pthread_mutex_unlock(&lock);
    return fd;
}

static int change_user(struct queue *queue, const struct kevent *change)
{
    const uint64_t one = 1;
    struct epoll_event event = {.events = (uint32_t)EPOLLIN | EPOLLET};
    if ((change->fflags & NOTE_TRIGGER) != 0) {
        return write(queue->user, &one, sizeof(one)) < 0 ? -1 : 0;
    }
    int user = eventfd(0, EFD_CLOEXEC);
    if (user < 0) {
        return -1;
    }
    if (epoll_ctl(queue->fd, EPOLL_CTL_ADD, user, &event) < 0) {
        (void)raw_close(user);
        return -1;
    }
    queue->user = user;
    return 0;
}

static int change_one(struct queue *queue, const struct kevent *change)
{
    if (change->filter == EVFILT_USER) {
        return change_user(queue, change);
    }
    bool reads = change->filter == EVFILT_READ;
    int set = reads ? queue->read : queue->write;
    int fd = (int)change->ident;
    struct epoll_event event = {
        .events = reads ? (uint32_t)(EPOLLIN | EPOLLRDHUP) : (uint32_t)EPOLLOUT,
        .data = {.ptr = change->udata},
    };
    if ((change->flags & EV_DELETE) != 0) {
        return epoll_ctl(set, EPOLL_CTL_DEL, fd, &event);
    }
    if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0) {
        return 0;
    }
    return errno == EEXIST ? epoll_ctl(set, EPOLL_CTL_MOD, fd, &event) : -1;
}

static int take(int set, int16_t filter, struct kevent *events, int max)
{
    struct epoll_event ready[64];
    int count =
        (int)syscall(SYS_epoll_pwait, set, ready, max < 64 ? max : 64, 0, NULL, 0);
    for (int i = 0; i < count; i++) {
        bool end = (ready[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
        EV_SET(&events[i], 0, filter, end ? EV_EOF : 0, 0, 0, ready[i].data.ptr);
    }
    return count > 0 ? count : 0;
}

int kevent(int fd, const struct kevent *changes, int change_count,
           struct kevent *events, int event_count, const struct timespec *timeout)
{
    struct epoll_event unused[1];
    (void)pthread_mutex_lock(&lock);
    struct queue *found = fd > 0 ? find(fd) : NULL;
    struct queue queue = {0};
    if (found != NULL) {
        found->write_first = !found->write_first;
        queue = *found;
    }
    (void)pthread_mutex_unlock(&lock);
    if (found == NULL) {
        errno = EBADF;
        return -1;
    }
    for (int i = 0; i < change_count; i++) {
        if (change_one(found, &changes[i]) < 0) {
            return -1;
        }
    }
    if (event_count == 0) {
        return 0;
    }
    int wait_ms = timeout == NULL
                      ? -1
                      : (int)(timeout->tv_sec * 1000 + timeout->tv_nsec / 1000000);
    if (epoll_wait(fd, unused, 1, wait_ms) < 0) {
        return -1;
    }
    int count = 0;
    for (int i = 0; i < 2; i++) {
        bool writes = queue.write_first == (i == 0);
        count +=
            take(writes ? queue.write : queue.read, writes ? EVFILT_WRITE : EVFILT_READ,
                 events + count, event_count - count);
    }
    return count;
}

/* In place of libc's, for our own code. */
int close(int fd)
{
    (void)pthread_mutex_lock(&lock);
    for (size_t i = 0; i < QUEUES; i++) {
        struct queue *queue = &queues[i];
        if (queue->fd == 0) {
            continue;
        }
        if (queue->fd == fd) {
            forget(queue);
            (void)pthread_mutex_unlock(&lock);
            return 0;
        }
        struct epoll_event event = {0};
        int error = errno;
        (void)syscall(SYS_epoll_ctl, queue->read, EPOLL_CTL_DEL, fd, &event);
        (void)syscall(SYS_epoll_ctl, queue->write, EPOLL_CTL_DEL, fd, &event);
        errno = error;
    }
    (void)pthread_mutex_unlock(&lock);
    return raw_close(fd);
}

#endif
