/*
 * rawirq: what no server can do better for a client that rings doorbells by posted messages and sleeps until its interrupt, one command at a time.
 * The client sends two messages (the completion queue's head, the submission queue's tail) and sleeps in a read of an eventfd; the server looks for
 * them all the time, copies a block, and writes the eventfd. There is no protocol and no queue.
 *
 *   rawirq [-s server_cpu] [-c client_cpu] [-b bytes] [-t secs]
 */
#include "bench.h"
#include <sys/eventfd.h>

#define MESSAGE 36  /* REGION_WRITE of 4 bytes */
#define BLOCKS 4096

static void serve(int sock, int irq, size_t bytes, const char *blocks, char *to)
{
    char in[16 * MESSAGE];
    uint64_t seed = 1, one = 1;
    for (size_t got = 0;;) {
        ssize_t r = recv(sock, in, sizeof(in), MSG_DONTWAIT);
        if (r == 0)
            exit(0);
        if (r < 0) {
            if (errno != EAGAIN && errno != EINTR)
                die("recv");
            continue;
        }
        for (got += r; got >= 2 * MESSAGE; got -= 2 * MESSAGE) {
            memcpy(to, blocks + xorshift(&seed) % BLOCKS * bytes, bytes);
            if (write(irq, &one, sizeof(one)) != sizeof(one))
                die("write");
        }
    }
}

int main(int argc, char **argv)
{
    int server = 0, client = 1, o, sock[2];
    size_t bytes = 4096;
    double secs = 1;
    while ((o = getopt(argc, argv, "s:c:b:t:")) != -1) {
        switch (o) {
        case 's': server = atoi(optarg); break;
        case 'c': client = atoi(optarg); break;
        case 'b': bytes = strtoul(optarg, NULL, 0); break;
        case 't': secs = atof(optarg); break;
        default: return 2;
        }
    }
    int irq = eventfd(0, EFD_CLOEXEC);
    char *blocks = mmap(NULL, BLOCKS * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    char *to = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (irq < 0 || blocks == MAP_FAILED || to == MAP_FAILED || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock))
        die("rawirq");
    bench_peer = fork();
    if (bench_peer < 0)
        die("fork");
    if (bench_peer == 0) {
        pin(server);
        close(sock[0]);
        serve(sock[1], irq, bytes, blocks, to);
    }
    pin(client);
    close(sock[1]);
    struct lat l;
    lat_init(&l, 4 << 20);
    char message[MESSAGE] = { 0 };
    uint64_t n = 0, start = now_ns(), end = start + secs * 1e9, count;
    load_begin();
    for (uint64_t sent; (sent = now_ns()) < end; n++) {
        for (int i = 0; i < 2; i++)
            if (send(sock[0], message, sizeof(message), MSG_NOSIGNAL) != sizeof(message))
                die("send");
        while (read(irq, &count, sizeof(count)) != sizeof(count))
            if (errno != EINTR)
                die("read");
        lat_add(&l, now_ns() - sent);
    }
    report("rawirq", "depth=1", n, now_ns() - start, &l);
    close(sock[0]);
    waitpid(bench_peer, NULL, 0);
    return 0;
}
