/* Put load on an echo server, and say what it cost that server.
 *
 *   loadgen PORT PID echo CONNECTIONS SECONDS   each asks again and again
 *   loadgen PORT PID churn COUNT                connect, ask once, close
 *   loadgen PORT PID idle COUNT                 ask once, and stay connected
 *
 * We read the server's CPU clock, or its memory, ourselves at the moment when
 * counting begins and ends: a third process would come late.  The clock of
 * a process that runs elsewhere is as new as the kernel's last tick there, so
 * what is counted ought to take some hundred milliseconds.
 *
 * One line of JSON is printed; what goes wrong is said on stderr, and we end
 * with 1.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SIZE 1024
#define EVENTS 1024
#define AT_ONCE 64        /* connections that churn side by side */
#define PATIENCE 10000    /* ms in which something must happen */

struct connection {
    int fd;
    int got;        /* bytes of the answer so far */
};

static char message[SIZE], answer[1 << 16];
static struct sockaddr_in server;
static clockid_t server_clock;
static long server_pid;

static void fail(const char *what)
{
    fprintf(stderr, "loadgen: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double seconds(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now))
        fail("clock_gettime: is the server still there?");
    return now.tv_sec + now.tv_nsec / 1e9;
}

static double server_kilobytes(void)
{
    char path[64];
    long pages;
    snprintf(path, sizeof path, "/proc/%ld/statm", server_pid);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%*d %ld", &pages) != 1)
        fail(path);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024.0);
}

static void start(struct connection *one)
{
    int on = 1;
    one->got = 0;
    one->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (one->fd < 0)
        fail("socket");
    if (connect(one->fd, (struct sockaddr *)&server, sizeof server))
        fail("connect");
    setsockopt(one->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void ask(struct connection *one)
{
    one->got = 0;
    if (send(one->fd, message, SIZE, MSG_NOSIGNAL) != SIZE)
        fail("send");
}

/* Read what is here; return whether the answer is complete. */
static int answered(struct connection *one, int flags)
{
    ssize_t got = recv(one->fd, answer, sizeof answer, flags);
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got == 0)
        errno = ECONNRESET;
    if (got <= 0)
        fail("recv");
    one->got += got;
    return one->got >= SIZE;
}

static struct connection *watched(int epoll, int count)
{
    struct connection *all = calloc(count, sizeof *all);
    for (int i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
        start(&all[i]);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &event))
            fail("epoll_ctl");
    }
    return all;
}

static int happened(int epoll, struct epoll_event *events)
{
    int count = epoll_wait(epoll, events, EVENTS, PATIENCE);
    if (count == 0)
        errno = ETIMEDOUT;
    if (count <= 0)
        fail("waiting for answers");
    return count;
}

/* Everybody asks again as soon as the answer is there.  A fifth of the time
 * goes by before we count: each connection has then had its first turn. */
static void echo(int count, double duration)
{
    int epoll = epoll_create1(0);
    struct epoll_event events[EVENTS];
    struct connection *all = watched(epoll, count);
    long warm = count, answers = 0;
    double begin = seconds(CLOCK_MONOTONIC), now = begin, cpu = 0;
    int counting = 0;

    for (int i = 0; i < count; i++)
        ask(&all[i]);
    while (!counting || now < begin + duration) {
        int ready = happened(epoll, events);
        for (int i = 0; i < ready; i++) {
            struct connection *one = events[i].data.ptr;
            if (answered(one, MSG_DONTWAIT)) {
                answers++;
                ask(one);
            }
        }
        now = seconds(CLOCK_MONOTONIC);
        if (!counting && answers >= warm && now > begin + duration / 5) {
            counting = 1;
            answers = 0;
            begin = now;
            cpu = seconds(server_clock);
        }
    }
    printf("{\"units\": %ld, \"cpu\": %.9f, \"seconds\": %.9f}\n",
           answers, seconds(server_clock) - cpu, now - begin);
}

static void churn(int count)
{
    int epoll = epoll_create1(0), left = count;
    struct epoll_event events[EVENTS];
    double cpu = seconds(server_clock);
    struct connection *all = watched(epoll, AT_ONCE);

    for (int i = 0; i < AT_ONCE; i++)
        ask(&all[i]);
    while (left > 0) {
        int ready = happened(epoll, events);
        for (int i = 0; i < ready; i++) {
            struct connection *one = events[i].data.ptr;
            if (!answered(one, MSG_DONTWAIT))
                continue;
            close(one->fd);
            left--;
            struct epoll_event event = {.events = EPOLLIN, .data.ptr = one};
            start(one);
            epoll_ctl(epoll, EPOLL_CTL_ADD, one->fd, &event);
            ask(one);
        }
    }
    printf("{\"units\": %d, \"cpu\": %.9f}\n", count - left,
           seconds(server_clock) - cpu);
}

static void idle(int count)
{
    struct connection *all = calloc(count, sizeof *all);
    double before = server_kilobytes();
    for (int i = 0; i < count; i++) {
        start(&all[i]);
        ask(&all[i]);
        while (!answered(&all[i], 0))
            ;
    }
    printf("{\"units\": %d, \"kilobytes\": %.0f}\n", count,
           server_kilobytes() - before);
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "loadgen: usage: PORT PID WORK COUNT [SECONDS]\n");
        return 2;
    }
    server.sin_family = AF_INET;
    server.sin_port = htons(atoi(argv[1]));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server_pid = atol(argv[2]);
    if (clock_getcpuclockid(server_pid, &server_clock))
        fail("the server's CPU clock");
    memset(message, 'x', SIZE);
    if (!strcmp(argv[3], "echo"))
        echo(atoi(argv[4]), atof(argv[5]));
    else if (!strcmp(argv[3], "churn"))
        churn(atoi(argv[4]));
    else
        idle(atoi(argv[4]));
    return 0;
}
