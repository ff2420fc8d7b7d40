/* The interop peer in czmq; README.md beside it says what it does. */
#include <czmq.h>
#include <poll.h>

enum { pattern_octets = 251, timeout_ms = 60000 };

static void fail(const char* what)
{
    fprintf(stderr, "peer_czmq: %s\n", what);
    exit(1);
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
        if (streq(types[index].name, name))
            return types[index].type;
    fail("an unknown type");
    return -1;
}

static zframe_t* frame_of(size_t size)
{
    zframe_t* frame = zframe_new(NULL, size);
    byte* octets = zframe_data(frame);
    for (size_t at = 0; at < size; ++at)
        octets[at] = (byte)(at % pattern_octets);
    return frame;
}

static zmsg_t* message_of(const char* text)
{
    zmsg_t* message = zmsg_new();
    for (char* end = NULL;; text = end + 1) {
        zframe_t* frame = frame_of(strtoul(text, &end, 10));
        zmsg_append(message, &frame);
        if (*end != ',')
            return message;
    }
}

static zmsg_t* receive(zsock_t* socket)
{
    zmsg_t* message = zmsg_recv(socket);
    if (message == NULL)
        fail("nothing received");
    return message;
}

static bool is_hello(zmsg_t* message)
{
    return zmsg_size(message) == 1 && zframe_streq(zmsg_first(message), "hello");
}

/* Compares and keeps both; `skip` leading frames are somebody's identity. */
static void compare(zmsg_t* got, const char* text, size_t skip)
{
    zmsg_t* expected = message_of(text);
    if (zmsg_size(got) != zmsg_size(expected) + skip)
        fail("another number of parts");
    zframe_t* frame = zmsg_first(got);
    for (size_t index = 0; index < skip; ++index)
        frame = zmsg_next(got);
    for (zframe_t* wanted = zmsg_first(expected); wanted != NULL; wanted = zmsg_next(expected), frame = zmsg_next(got))
        if (!zframe_eq(frame, wanted))
            fail("a part differs");
    zmsg_destroy(&expected);
}

static void send_text(zsock_t* socket, const char* text)
{
    zmsg_t* message = message_of(text);
    if (zmsg_send(&message, socket) != 0)
        fail("not sent");
}

static void publish(zsock_t* socket, int type, char** messages, int count)
{
    char line[16];
    if (type == ZMQ_XPUB) {
        zmsg_t* subscription = receive(socket);
        zmsg_destroy(&subscription);
    }
    for (struct pollfd input = {STDIN_FILENO, POLLIN, 0}; poll(&input, 1, 20) == 0;)
        zstr_send(socket, "hello");
    if (read(STDIN_FILENO, line, sizeof line) <= 0)
        fail("standard input");
    for (int index = 0; index < count; ++index)
        send_text(socket, messages[index]);
}

static void subscribe(zsock_t* socket, int type, char** messages, int count)
{
    if (type == ZMQ_SUB)
        zsock_set_subscribe(socket, "");
    else
        zsock_send(socket, "b", "\1", (size_t)1);
    zmsg_t* message = receive(socket);
    puts("hello");
    fflush(stdout);
    for (int index = 0; index < count;) {
        if (!is_hello(message))
            compare(message, messages[index++], 0);
        zmsg_destroy(&message);
        if (index < count)
            message = receive(socket);
    }
}

static void serve(zsock_t* socket, int type, char** messages, int count)
{
    if (type == ZMQ_PUB || type == ZMQ_XPUB) {
        publish(socket, type, messages, count);
        return;
    }
    for (int index = 0; index < count; ++index) {
        zmsg_t* message = receive(socket);
        compare(message, messages[index], type == ZMQ_ROUTER ? 1 : 0);
        if (type == ZMQ_PULL)
            zmsg_destroy(&message);
        else if (zmsg_send(&message, socket) != 0)
            fail("not echoed");
    }
}

static void ask(zsock_t* socket, int type, char** messages, int count)
{
    if (type == ZMQ_SUB || type == ZMQ_XSUB) {
        subscribe(socket, type, messages, count);
        return;
    }
    for (int index = 0; index < count; ++index) {
        send_text(socket, messages[index]);
        if (type == ZMQ_PUSH)
            continue;
        zmsg_t* message = receive(socket);
        compare(message, messages[index], 0);
        zmsg_destroy(&message);
    }
}

static void set_keys(zsock_t* socket, bool is_server, char** keys, int count)
{
    if (is_server && count == 1) {
        zsock_set_curve_server(socket, 1);
        zsock_set_curve_secretkey(socket, keys[0]);
    } else if (count == 3) {
        zsock_set_curve_serverkey(socket, keys[0]);
        zsock_set_curve_publickey(socket, keys[1]);
        zsock_set_curve_secretkey(socket, keys[2]);
    }
}

int main(int count, char** words)
{
    int sizes_at = 4;
    while (sizes_at < count && !streq(words[sizes_at], "--sizes"))
        ++sizes_at;
    if (sizes_at >= count)
        return 64;
    const int type = type_of(words[1]);
    const bool is_server = streq(words[2], "server");
    zsys_handler_set(NULL);
    zsock_t* socket = zsock_new(type);
    zsock_set_rcvtimeo(socket, timeout_ms);
    zsock_set_sndtimeo(socket, timeout_ms);
    zsock_set_linger(socket, 5000);
    set_keys(socket, is_server, words + 4, sizes_at - 4);
    char** messages = words + sizes_at + 1;
    const int message_count = count - sizes_at - 1;
    if (is_server) {
        if (zsock_bind(socket, "%s", words[3]) < 0)
            fail("bind");
        puts("bound");
        fflush(stdout);
        serve(socket, type, messages, message_count);
    } else {
        if (zsock_connect(socket, "%s", words[3]) != 0)
            fail("connect");
        ask(socket, type, messages, message_count);
    }
    printf("ok %d\n", message_count);
    fflush(stdout);
    char line[16];
    if (read(STDIN_FILENO, line, sizeof line) < 0)
        return 1;
    zsock_destroy(&socket);
    return 0;
}
