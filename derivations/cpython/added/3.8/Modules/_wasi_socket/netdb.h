/*
 * What socketmodule.c wants of sockets and WASI does not have: the functions fail. Seen by that file alone.
 *
 * The functions about names are here to compile; in Python those of _wasi_socket (derivations/cpython/standins) take their place.
 */
#ifndef KILN_NETDB_H
#define KILN_NETDB_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

#define UNUSED __attribute__((unused)) static

/* As Linux numbers them. */
#define SO_ERROR 4
#define SOCK_SEQPACKET 5
#define SOMAXCONN 128

/* wasi-libc's MSG_TRUNC is a name that its own header misspells. */
#ifndef __WASI_RIFLAGS_RECV_DATA_TRUNCATED
#define __WASI_RIFLAGS_RECV_DATA_TRUNCATED __WASI_ROFLAGS_RECV_DATA_TRUNCATED
#endif

struct hostent {
    char *h_name;
    char **h_aliases;
    int h_addrtype;
    int h_length;
    char **h_addr_list;
};

struct servent {
    char *s_name;
    char **s_aliases;
    int s_port;
    char *s_proto;
};

struct protoent {
    char *p_name;
    char **p_aliases;
    int p_proto;
};

struct addrinfo {
    int ai_flags;
    int ai_family;
    int ai_socktype;
    int ai_protocol;
    socklen_t ai_addrlen;
    struct sockaddr *ai_addr;
    char *ai_canonname;
    struct addrinfo *ai_next;
};

#define AI_PASSIVE 0x01
#define AI_CANONNAME 0x02
#define AI_NUMERICHOST 0x04
#define AI_V4MAPPED 0x08
#define AI_ALL 0x10
#define AI_ADDRCONFIG 0x20
#define AI_NUMERICSERV 0x400

#define NI_NUMERICHOST 0x01
#define NI_NUMERICSERV 0x02
#define NI_NOFQDN 0x04
#define NI_NAMEREQD 0x08
#define NI_DGRAM 0x10
#define NI_MAXHOST 255
#define NI_MAXSERV 32

#define EAI_BADFLAGS (-1)
#define EAI_NONAME (-2)
#define EAI_AGAIN (-3)
#define EAI_FAIL (-4)
#define EAI_NODATA (-5)
#define EAI_FAMILY (-6)
#define EAI_SOCKTYPE (-7)
#define EAI_SERVICE (-8)
#define EAI_MEMORY (-10)
#define EAI_SYSTEM (-11)
#define EAI_OVERFLOW (-12)

#define h_errno 1 /* the host is not known */

UNUSED struct hostent *gethostbyname(const char *name) { return (void)name, NULL; }
UNUSED struct hostent *gethostbyaddr(const void *address, socklen_t size, int family) {
    return (void)address, (void)size, (void)family, NULL;
}
UNUSED struct servent *getservbyname(const char *name, const char *protocol) { return (void)name, (void)protocol, NULL; }
UNUSED struct servent *getservbyport(int port, const char *protocol) { return (void)port, (void)protocol, NULL; }
UNUSED struct protoent *getprotobyname(const char *name) { return (void)name, NULL; }
UNUSED int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    return (void)host, (void)service, (void)hints, *found = NULL, EAI_NONAME;
}
UNUSED void freeaddrinfo(struct addrinfo *found) { (void)found; }
UNUSED int getnameinfo(const struct sockaddr *address, socklen_t size, char *host, socklen_t host_size, char *service,
                       socklen_t service_size, int flags) {
    return (void)address, (void)size, (void)host, (void)host_size, (void)service, (void)service_size, (void)flags, EAI_NONAME;
}

UNUSED const char *inet_ntoa(struct in_addr address) {
    static char text[INET_ADDRSTRLEN];
    return inet_ntop(AF_INET, &address, text, sizeof text);
}

UNUSED int no_sockets(int socket) { return (void)socket, errno = ENOTSUP, -1; }
#define socket(family, type, protocol) no_sockets(family)
#define bind(socket, address, size) no_sockets(socket)
#define connect(socket, address, size) no_sockets(socket)
#define listen(socket, backlog) no_sockets(socket)
#define getsockname(socket, address, size) no_sockets(socket)
#define getpeername(socket, address, size) no_sockets(socket)
#define setsockopt(socket, level, option, value, size) no_sockets(socket)
#define sendto(socket, data, size, flags, address, address_size) no_sockets(socket)
#define recvfrom(socket, data, size, flags, address, address_size) no_sockets(socket)
#define sendmsg(socket, message, flags) no_sockets(socket)
#define recvmsg(socket, message, flags) no_sockets(socket)

#endif
