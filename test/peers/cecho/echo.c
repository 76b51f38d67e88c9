/* An echo server of lines on one thread and one epoll set: what the machine
 * allows. It cuts what it reads at line feeds and writes all complete lines
 * back with one call. Called as: echo IP:PORT. On standard input "memory" is
 * answered with its anonymous memory, and the end ends it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FD = 1 << 16, READ_SIZE = 64 << 10, EVENTS = 256 };

struct conn {
	char *in;      /* the beginning of a line */
	size_t in_len;
	char *out;     /* what the kernel has not taken */
	size_t out_len;
};

static struct conn conns[MAX_FD];
static char buf[READ_SIZE];
static int ep;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void watch(int op, int fd, unsigned events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};
	if (epoll_ctl(ep, op, fd, &ev) < 0)
		die("epoll_ctl");
}

static void drop(int fd)
{
	free(conns[fd].in);
	free(conns[fd].out);
	conns[fd] = (struct conn){0};
	close(fd);
}

static char *keep(char *old, size_t old_len, const char *more, size_t n)
{
	char *all = realloc(old, old_len + n);
	if (!all)
		die("realloc");
	memcpy(all + old_len, more, n);
	return all;
}

/* reply sends n bytes, or keeps what the kernel does not take. */
static int reply(int fd, const char *p, size_t n)
{
	struct conn *c = &conns[fd];
	ssize_t k = 0;
	if (!c->out_len) {
		k = send(fd, p, n, MSG_NOSIGNAL);
		if (k < 0 && errno != EAGAIN)
			return -1;
		if (k < 0)
			k = 0;
		if ((size_t)k == n)
			return 0;
		watch(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT);
	}
	c->out = keep(c->out, c->out_len, p + k, n - k);
	c->out_len += n - k;
	return 0;
}

static int flush(int fd)
{
	struct conn *c = &conns[fd];
	ssize_t k = send(fd, c->out, c->out_len, MSG_NOSIGNAL);
	if (k < 0)
		return errno == EAGAIN ? 0 : -1;
	memmove(c->out, c->out + k, c->out_len - k);
	c->out_len -= k;
	if (!c->out_len) {
		free(c->out);
		c->out = NULL;
		watch(EPOLL_CTL_MOD, fd, EPOLLIN);
	}
	return 0;
}

static int serve(int fd)
{
	struct conn *c = &conns[fd];
	ssize_t n = read(fd, buf, sizeof buf);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		return -1;
	char *data = buf;
	size_t len = n, used = 0;
	if (c->in) {
		data = keep(c->in, c->in_len, buf, n);
		len = c->in_len + n;
		c->in = NULL;
		c->in_len = 0;
	}
	for (char *end; (end = memchr(data + used, '\n', len - used));) /* each line is a message */
		used = end - data + 1;
	int failed = used ? reply(fd, data, used) : 0;
	if (used < len) {
		c->in = keep(NULL, 0, data + used, len - used);
		c->in_len = len - used;
	}
	if (data != buf)
		free(data);
	return failed;
}

static void greet(int ln)
{
	int fd;
	while ((fd = accept4(ln, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		int on = 1;
		if (fd >= MAX_FD) {
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		watch(EPOLL_CTL_ADD, fd, EPOLLIN);
	}
}

static void obey(void)
{
	char word[64], line[256];
	ssize_t n = read(0, word, sizeof word);
	if (n <= 0)
		exit(0);
	FILE *f = fopen("/proc/self/status", "r");
	long kib = 0;
	while (f && fgets(line, sizeof line, f))
		sscanf(line, "RssAnon: %ld", &kib);
	if (f)
		fclose(f);
	printf("memory %ld\n", kib << 10);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char host[64];
	int port, on = 1;
	if (argc != 2 || sscanf(argv[1], "%63[0-9.]:%d", host, &port) != 2) {
		fprintf(stderr, "echo IP:PORT\n");
		return 2;
	}
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	inet_pton(AF_INET, host, &at.sin_addr);
	int ln = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(ln, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (ln < 0 || bind(ln, (struct sockaddr *)&at, sizeof at) < 0 || listen(ln, 4096) < 0)
		die("listen");
	ep = epoll_create1(EPOLL_CLOEXEC);
	watch(EPOLL_CTL_ADD, ln, EPOLLIN);
	watch(EPOLL_CTL_ADD, 0, EPOLLIN);
	printf("listening %s\n", argv[1]);
	fflush(stdout);
	for (;;) {
		struct epoll_event events[EVENTS];
		int n = epoll_wait(ep, events, EVENTS, -1);
		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd, failed = 0;
			if (fd == ln) {
				greet(ln);
				continue;
			}
			if (fd == 0) {
				obey();
				continue;
			}
			if (events[i].events & EPOLLOUT)
				failed = flush(fd);
			if (!failed && events[i].events & ~EPOLLOUT)
				failed = serve(fd);
			if (failed)
				drop(fd);
		}
	}
}
