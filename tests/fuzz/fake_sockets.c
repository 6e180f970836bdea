#include "fake_sockets.h"

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fuzz.h"

#define FIRST_FD 100000
#define SET_FD   (FIRST_FD - 1)
#define BELL_FD  (FIRST_FD - 2)
#define NO_PEER  (-1)

/* A socket that is ready again and again for nobody: the loop would never sleep. */
#define UNHEARD_MAX 2

struct fake_socket {
    bool open;
    bool listens;
    bool accepted; /* or made by fake_connect: somebody owns it */
    bool watched;
    bool ended; /* the peer has sent all it ever will */
    bool shut;  /* so have we */
    bool lingers_not;
    int error;   /* given once */
    int unheard; /* how often in a row a wait named it, and nobody called */
    int peer;
    int acceptor; /* whose queue it is in until it is accepted */
    size_t label;
    struct text in;
    size_t in_start;
    struct epoll_event interest;
};

struct fault {
    bool set;
    int error;
    size_t most;
};

static struct fake_socket sockets[FAKE_SOCKETS];
static struct fault faults[FAKE_CALLS];
static bool set_is_open;
static bool bell_is_open;
static bool bell_rings; /* until a wait has named it: it is edge-triggered */
static struct epoll_event bell_interest;
static size_t next_free; /* not the lowest: a descriptor kept too long is noticed */
static size_t send_room;
static size_t order_first;
static size_t order_most;

/* --- what a test says --- */

static void forget_socket(struct fake_socket *socket)
{
    text_free(&socket->in);
    memset(socket, 0, sizeof(*socket));
}

void fake_reset(void)
{
    for (size_t i = 0; i < FAKE_SOCKETS; i++) {
        forget_socket(&sockets[i]);
    }
    memset(faults, 0, sizeof(faults));
    set_is_open = false;
    bell_is_open = false;
    bell_rings = false;
    next_free = 0;
    send_room = SIZE_MAX;
    order_first = 0;
    order_most = FAKE_SOCKETS;
}

size_t fake_open(void)
{
    size_t count = (size_t)set_is_open + bell_is_open;
    for (size_t i = 0; i < FAKE_SOCKETS; i++) {
        count += sockets[i].open;
    }
    return count;
}

static int new_socket(void)
{
    for (size_t i = 0; i < FAKE_SOCKETS; i++) {
        size_t at = (next_free + i) % FAKE_SOCKETS;
        if (!sockets[at].open) {
            next_free = at + 1;
            sockets[at].open = true;
            sockets[at].peer = NO_PEER;
            sockets[at].acceptor = NO_PEER;
            return (int)at;
        }
    }
    return -1;
}

static bool is_ours(int fd)
{
    return fd >= FIRST_FD && fd < FIRST_FD + FAKE_SOCKETS;
}

static struct fake_socket *socket_of(int fd)
{
    REQUIRE(is_ours(fd) && sockets[fd - FIRST_FD].open);
    sockets[fd - FIRST_FD].unheard = 0;
    return &sockets[fd - FIRST_FD];
}

int fake_listen(void)
{
    int at = new_socket();
    REQUIRE(at >= 0);
    sockets[at].listens = true;
    return FIRST_FD + at;
}

int fake_connect(int acceptor, size_t label)
{
    int one = new_socket();
    int other = new_socket();
    if (other < 0) {
        if (one >= 0) {
            forget_socket(&sockets[one]);
        }
        return -1;
    }
    sockets[one].peer = other;
    sockets[other].peer = one;
    sockets[one].label = label;
    sockets[other].label = label;
    sockets[one].accepted = true;
    sockets[other].acceptor = acceptor;
    return FIRST_FD + one;
}

size_t fake_label(int fd)
{
    return socket_of(fd)->label;
}

void fake_fault(enum fake_call call, int error, size_t most)
{
    faults[call] = (struct fault){true, error, most};
}

void fake_set_room(size_t room)
{
    send_room = room;
}

void fake_set_order(size_t first, size_t most)
{
    order_first = first;
    order_most = most;
}

void fake_break(int fd, int error)
{
    struct fake_socket *socket = socket_of(fd);
    struct fake_socket *ends[2] = {
        socket, socket->peer == NO_PEER ? socket : &sockets[socket->peer]};
    for (size_t i = 0; i < 2; i++) {
        ends[i]->error = error;
        ends[i]->ended = true;
        ends[i]->peer = NO_PEER;
    }
}

/* --- what the engine calls --- */

/* The fault that is set, which is over then. */
static struct fault take_fault(enum fake_call call)
{
    struct fault fault = faults[call];
    faults[call].set = false;
    return fault;
}

static int fails(int error)
{
    errno = error;
    return -1;
}

int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    if (!is_ours(fd)) {
        return (int)syscall(SYS_accept4, fd, address, len, flags);
    }
    REQUIRE(socket_of(fd)->listens && (flags & SOCK_NONBLOCK) != 0);
    struct fault fault = take_fault(FAKE_ACCEPT);
    if (fault.set && fault.error != 0) {
        return fails(fault.error);
    }
    for (size_t i = 0; i < FAKE_SOCKETS; i++) {
        struct fake_socket *socket = &sockets[i];
        if (socket->open && !socket->accepted && socket->acceptor == fd) {
            socket->accepted = true;
            return FIRST_FD + (int)i;
        }
    }
    return fails(EAGAIN);
}

ssize_t recv(int fd, void *data, size_t len, int flags)
{
    if (!is_ours(fd)) {
        return syscall(SYS_recvfrom, fd, data, len, flags, NULL, NULL);
    }
    struct fake_socket *socket = socket_of(fd);
    struct fault fault = take_fault(FAKE_RECV);
    size_t left = socket->in.len - socket->in_start; /* read up to in_start */
    if (fault.set && fault.error != 0) {
        return fails(fault.error);
    }
    if (left == 0 && socket->error != 0) {
        int error = socket->error;
        socket->error = 0;
        return fails(error);
    }
    if (left == 0) {
        return socket->ended ? 0 : fails(EAGAIN);
    }
    size_t n = left < len ? left : len;
    n = fault.set && fault.most < n && fault.most > 0 ? fault.most : n;
    memcpy(data, socket->in.data + socket->in_start, n);
    socket->in_start += n;
    if (socket->in_start == socket->in.len) {
        socket->in.len = 0;
        socket->in_start = 0;
    }
    return (ssize_t)n;
}

static size_t room_of(const struct fake_socket *socket)
{
    if (socket->peer == NO_PEER) {
        return 0;
    }
    const struct fake_socket *peer = &sockets[socket->peer];
    size_t waits = peer->in.len - peer->in_start; /* read up to in_start */
    return waits < send_room ? send_room - waits : 0;
}

static ssize_t
send_some(int fd, const void *data, size_t len, const struct fault *fault)
{
    struct fake_socket *socket = socket_of(fd);
    if (fault->set && fault->error != 0) {
        return fails(fault->error);
    }
    if (socket->error != 0) {
        int error = socket->error;
        socket->error = 0;
        return fails(error);
    }
    if (socket->peer == NO_PEER || socket->shut) {
        return fails(EPIPE);
    }
    size_t room = room_of(socket);
    size_t n = len < room ? len : room;
    n = fault->set && fault->most < n && fault->most > 0 ? fault->most : n;
    if (n == 0 && len > 0) {
        return fails(EAGAIN);
    }
    text_add(&sockets[socket->peer].in, data, n);
    return (ssize_t)n;
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
    if (!is_ours(fd)) {
        return syscall(SYS_sendto, fd, data, len, flags, NULL, 0);
    }
    REQUIRE((flags & MSG_NOSIGNAL) != 0);
    struct fault fault = take_fault(FAKE_SEND);
    return send_some(fd, data, len, &fault);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (!is_ours(fd)) {
        return syscall(SYS_sendmsg, fd, message, flags);
    }
    REQUIRE((flags & MSG_NOSIGNAL) != 0);
    struct fault fault = take_fault(FAKE_SEND);
    size_t sent = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        const struct iovec *piece = &message->msg_iov[i];
        ssize_t n = send_some(fd, piece->iov_base, piece->iov_len, &fault);
        if (n < 0) {
            return sent > 0 ? (ssize_t)sent : n;
        }
        sent += (size_t)n;
        if ((size_t)n < piece->iov_len) {
            break;
        }
    }
    return (ssize_t)sent;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    if (!is_ours(fd)) {
        return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
    }
    struct fake_socket *socket = socket_of(fd);
    if (level == SOL_SOCKET && name == SO_LINGER) {
        socket->lingers_not = true;
    }
    return 0;
}

int shutdown(int fd, int how)
{
    if (!is_ours(fd)) {
        return (int)syscall(SYS_shutdown, fd, how);
    }
    struct fake_socket *socket = socket_of(fd);
    REQUIRE(how == SHUT_WR);
    socket->shut = true;
    if (socket->peer != NO_PEER) {
        sockets[socket->peer].ended = true;
    }
    return 0;
}

int fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    long argument = va_arg(arguments, long);
    va_end(arguments);
    if (!is_ours(fd)) {
        return (int)syscall(SYS_fcntl, fd, command, argument);
    }
    (void)socket_of(fd);
    return 0;
}

/* Ends that nobody has accepted go with their acceptor. */
static void close_acceptor(int fd)
{
    for (size_t i = 0; i < FAKE_SOCKETS; i++) {
        if (sockets[i].open && !sockets[i].accepted && sockets[i].acceptor == fd) {
            (void)close(FIRST_FD + (int)i);
        }
    }
}

int close(int fd)
{
    if (fd == SET_FD) {
        REQUIRE(set_is_open);
        set_is_open = false;
        for (size_t i = 0; i < FAKE_SOCKETS; i++) {
            sockets[i].watched = false;
        }
        return 0;
    }
    if (fd == BELL_FD) {
        REQUIRE(bell_is_open);
        bell_is_open = false;
        return 0;
    }
    if (!is_ours(fd)) {
        return (int)syscall(SYS_close, fd);
    }
    struct fake_socket *socket = socket_of(fd);
    if (socket->listens) {
        close_acceptor(fd);
    }
    if (socket->peer != NO_PEER) {
        struct fake_socket *peer = &sockets[socket->peer];
        bool unread = socket->in.len > socket->in_start;
        peer->ended = true;
        peer->error = unread || socket->lingers_not ? ECONNRESET : peer->error;
        peer->peer = NO_PEER;
    }
    forget_socket(socket);
    return 0;
}

/* --- epoll --- */

int epoll_create1(int flags)
{
    (void)flags;
    REQUIRE(!set_is_open);
    set_is_open = true;
    return SET_FD;
}

int eventfd(unsigned count, int flags)
{
    REQUIRE(!bell_is_open && count == 0 && (flags & EFD_NONBLOCK) != 0);
    bell_is_open = true;
    bell_rings = false;
    return BELL_FD;
}

ssize_t write(int fd, const void *data, size_t len)
{
    if (fd != BELL_FD) {
        return syscall(SYS_write, fd, data, len);
    }
    REQUIRE(bell_is_open && len == sizeof(uint64_t));
    bell_rings = true;
    return (ssize_t)len;
}

int epoll_ctl(int set, int operation, int fd, struct epoll_event *event)
{
    if (fd == BELL_FD) {
        REQUIRE(bell_is_open && operation == EPOLL_CTL_ADD);
        REQUIRE((event->events & EPOLLET) != 0);
        bell_interest = *event;
        return 0;
    }
    struct fake_socket *socket = socket_of(fd);
    REQUIRE(set == SET_FD && set_is_open);
    REQUIRE(socket->watched == (operation != EPOLL_CTL_ADD));
    if (operation == EPOLL_CTL_ADD) {
        struct fault fault = take_fault(FAKE_WATCH);
        if (fault.set && fault.error != 0) {
            return fails(fault.error);
        }
    }
    socket->watched = operation != EPOLL_CTL_DEL;
    socket->interest = *event;
    return 0;
}

static bool has_waiting(size_t acceptor)
{
    for (size_t i = 0; i < FAKE_SOCKETS; i++) {
        if (sockets[i].open && !sockets[i].accepted &&
            sockets[i].acceptor == FIRST_FD + (int)acceptor) {
            return true;
        }
    }
    return false;
}

static uint32_t readiness(size_t at)
{
    const struct fake_socket *socket = &sockets[at];
    bool gone = socket->error != 0 || (socket->ended && socket->shut);
    uint32_t what = gone ? EPOLLHUP : 0;
    what |= socket->error != 0 ? EPOLLERR : 0;
    if (socket->in.len > socket->in_start || socket->ended ||
        (socket->listens && has_waiting(at))) {
        what |= EPOLLIN;
    }
    if (!socket->listens &&
        (room_of(socket) > 0 || socket->peer == NO_PEER || socket->shut)) {
        what |= EPOLLOUT;
    }
    return what & (socket->interest.events | EPOLLERR | EPOLLHUP);
}

int epoll_wait(int set, struct epoll_event *events, int max, int timeout)
{
    int count = 0;
    struct fault fault = take_fault(FAKE_WAIT);
    REQUIRE(set == SET_FD && set_is_open);
    (void)timeout;
    if (fault.set && fault.error != 0) {
        return fails(fault.error);
    }
    if (bell_rings && max > 0) {
        bell_rings = false;
        events[count] = bell_interest;
        events[count++].events = EPOLLIN;
    }
    for (size_t i = 0; i < FAKE_SOCKETS; i++) {
        size_t at = (order_first + i) % FAKE_SOCKETS;
        bool falsely = fault.set && fault.most % FAKE_SOCKETS == at;
        if (!sockets[at].open || !sockets[at].watched) {
            continue;
        }
        uint32_t what = falsely ? sockets[at].interest.events : readiness(at);
        if (what != 0 && count < max && (size_t)count < order_most) {
            REQUIRE(++sockets[at].unheard <= UNHEARD_MAX);
            events[count] = sockets[at].interest;
            events[count++].events = what;
        }
    }
    return count;
}

#endif
