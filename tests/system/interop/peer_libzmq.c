/* The interop peer over libzmq's C API; README.md beside it says what it does. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

enum { pattern_octets = 251, parts_max = 32, timeout_ms = 60000 };

static void fail(const char* what)
{
    fprintf(stderr, "peer_libzmq: %s: %s\n", what, zmq_strerror(zmq_errno()));
    exit(1);
}

static void need(int result, const char* what)
{
    if (result < 0)
        fail(what);
}

static int type_of(const char* name)
{
    static const struct {
        const char* name;
        int type;
    } types[] = {{"REP", ZMQ_REP},   {"ROUTER", ZMQ_ROUTER}, {"PUB", ZMQ_PUB},  {"XPUB", ZMQ_XPUB},
                 {"PULL", ZMQ_PULL}, {"PAIR", ZMQ_PAIR},     {"REQ", ZMQ_REQ},  {"DEALER", ZMQ_DEALER},
                 {"SUB", ZMQ_SUB},   {"XSUB", ZMQ_XSUB},     {"PUSH", ZMQ_PUSH}};
    for (size_t index = 0; index < sizeof types / sizeof types[0]; ++index)
        if (strcmp(types[index].name, name) == 0)
            return types[index].type;
    fail("an unknown type");
    return -1;
}

static size_t parse_sizes(const char* text, size_t* sizes)
{
    size_t count = 0;
    for (char* end = NULL; count < parts_max; text = end + 1) {
        sizes[count++] = strtoul(text, &end, 10);
        if (*end != ',')
            break;
    }
    return count;
}

static void send_message(void* socket, const char* text)
{
    size_t sizes[parts_max];
    const size_t count = parse_sizes(text, sizes);
    for (size_t index = 0; index < count; ++index) {
        zmq_msg_t part;
        zmq_msg_init_size(&part, sizes[index]);
        unsigned char* octets = zmq_msg_data(&part);
        for (size_t at = 0; at < sizes[index]; ++at)
            octets[at] = (unsigned char)(at % pattern_octets);
        need(zmq_msg_send(&part, socket, index + 1 < count ? ZMQ_SNDMORE : 0), "send");
    }
}

static int is_hello(zmq_msg_t* part)
{
    return zmq_msg_size(part) == 5 && memcmp(zmq_msg_data(part), "hello", 5) == 0;
}

static void compare(zmq_msg_t* part, size_t size)
{
    const unsigned char* octets = zmq_msg_data(part);
    if (zmq_msg_size(part) != size)
        fail("a part of another size");
    for (size_t at = 0; at < size; ++at)
        if (octets[at] != at % pattern_octets)
            fail("octets differ");
}

/* Receives one message and compares it; `first` is a part that was received already, or NULL. Echoes when asked to. */
static void receive_message(void* socket, const char* text, zmq_msg_t* first, int is_router, int echo)
{
    size_t sizes[parts_max];
    const size_t count = parse_sizes(text, sizes);
    zmq_msg_t parts[parts_max + 1];
    size_t got = 0;
    int more = 1;
    for (; more && got < count + (size_t)is_router; ++got) {
        zmq_msg_init(&parts[got]);
        if (got == 0 && first != NULL)
            zmq_msg_move(&parts[0], first);
        else
            need(zmq_msg_recv(&parts[got], socket, 0), "receive");
        more = zmq_msg_more(&parts[got]);
        if (!is_router || got > 0)
            compare(&parts[got], sizes[got - (size_t)is_router]);
    }
    if (more || got != count + (size_t)is_router)
        fail("another number of parts");
    for (size_t index = 0; index < got; ++index) {
        if (echo)
            need(zmq_msg_send(&parts[index], socket, index + 1 < got ? ZMQ_SNDMORE : 0), "echo");
        else
            zmq_msg_close(&parts[index]);
    }
}

static void publish(void* socket, int type, char** messages, int count)
{
    char line[16];
    if (type == ZMQ_XPUB)
        need(zmq_recv(socket, line, sizeof line, 0), "a subscription");
    for (struct pollfd input = {STDIN_FILENO, POLLIN, 0}; poll(&input, 1, 20) == 0;)
        need(zmq_send(socket, "hello", 5, 0), "hello");
    if (read(STDIN_FILENO, line, sizeof line) <= 0)
        fail("standard input");
    for (int index = 0; index < count; ++index)
        send_message(socket, messages[index]);
}

static void subscribe(void* socket, int type, char** messages, int count)
{
    if (type == ZMQ_SUB)
        need(zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0), "subscribe");
    else
        need(zmq_send(socket, "\1", 1, 0), "subscribe");
    zmq_msg_t part;
    zmq_msg_init(&part);
    need(zmq_msg_recv(&part, socket, 0), "hello");
    puts("hello");
    fflush(stdout);
    while (is_hello(&part))
        need(zmq_msg_recv(&part, socket, 0), "receive");
    for (int index = 0; index < count; ++index)
        receive_message(socket, messages[index], index == 0 ? &part : NULL, 0, 0);
}

static void serve(void* socket, int type, char** messages, int count)
{
    if (type == ZMQ_PUB || type == ZMQ_XPUB) {
        publish(socket, type, messages, count);
        return;
    }
    for (int index = 0; index < count; ++index)
        receive_message(socket, messages[index], NULL, type == ZMQ_ROUTER, type != ZMQ_PULL);
}

static void ask(void* socket, int type, char** messages, int count)
{
    if (type == ZMQ_SUB || type == ZMQ_XSUB) {
        subscribe(socket, type, messages, count);
        return;
    }
    for (int index = 0; index < count; ++index) {
        send_message(socket, messages[index]);
        if (type != ZMQ_PUSH)
            receive_message(socket, messages[index], NULL, 0, 0);
    }
}

static void set_keys(void* socket, int is_server, char** keys, int count)
{
    const int one = 1;
    if (is_server && count == 1) {
        need(zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &one, sizeof one), "curve server");
        need(zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys[0], 41), "secret key");
    } else if (count == 3) {
        need(zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, keys[0], 41), "server key");
        need(zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, keys[1], 41), "public key");
        need(zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys[2], 41), "secret key");
    }
}

int main(int count, char** words)
{
    int sizes_at = 4;
    while (sizes_at < count && strcmp(words[sizes_at], "--sizes") != 0)
        ++sizes_at;
    if (sizes_at >= count)
        return 64;
    const int type = type_of(words[1]);
    const int is_server = strcmp(words[2], "server") == 0;
    const int timeout = timeout_ms;
    const int linger = 5000;
    void* context = zmq_ctx_new();
    void* socket = zmq_socket(context, type);
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout, sizeof timeout);
    zmq_setsockopt(socket, ZMQ_SNDTIMEO, &timeout, sizeof timeout);
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    set_keys(socket, is_server, words + 4, sizes_at - 4);
    char** messages = words + sizes_at + 1;
    const int message_count = count - sizes_at - 1;
    if (is_server) {
        need(zmq_bind(socket, words[3]), "bind");
        puts("bound");
        fflush(stdout);
        serve(socket, type, messages, message_count);
    } else {
        need(zmq_connect(socket, words[3]), "connect");
        ask(socket, type, messages, message_count);
    }
    printf("ok %d\n", message_count);
    fflush(stdout);
    char line[16];
    if (read(STDIN_FILENO, line, sizeof line) < 0)
        return 1;
    zmq_close(socket);
    zmq_ctx_term(context);
    return 0;
}
