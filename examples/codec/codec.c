/* The codec alone, from C: a client and a server in one chamber shake hands and pass messages, without any socket.
 * Whoever has ZMTP of his own puts these bodies into its frames. usage: codec HOME */
#include <caisson/caisson.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int code, const char* doing)
{
    if (code < 0) {
        fprintf(stderr, "codec: %s: %s (%s)\n", doing, caisson_error_text(), caisson_code_name(code));
        exit(1);
    }
}

static uint32_t new_key(caisson_chamber* chamber, uint8_t* public_key)
{
    uint8_t sealed[CAISSON_SEALED_KEY_BYTES_MAX];
    size_t size = sizeof sealed;
    uint32_t key = 0;
    must(caisson_create_key_pair(chamber, NULL, public_key, sealed, &size), "CreateKeyPair");
    must(caisson_import_sealed_private_key(chamber, sealed, size, &key, public_key), "ImportSealedPrivateKey");
    size = sizeof sealed;
    must(caisson_export_sealed_private_key(chamber, key, sealed, &size), "ExportSealedPrivateKey");
    return key;
}

static void shake_hands(caisson_chamber* chamber, uint32_t* client, uint32_t* server)
{
    uint8_t server_public[CAISSON_KEY_BYTES];
    uint8_t client_public[CAISSON_KEY_BYTES];
    uint8_t proven[CAISSON_KEY_BYTES];
    uint8_t one[CAISSON_COMMAND_BYTES_MAX];
    uint8_t two[CAISSON_COMMAND_BYTES_MAX];
    uint8_t metadata[CAISSON_METADATA_BYTES_MAX];
    size_t one_size = sizeof one;
    size_t two_size = sizeof two;
    size_t metadata_size = sizeof metadata;
    const uint32_t server_key = new_key(chamber, server_public);
    const uint32_t client_key = new_key(chamber, client_public);

    must(caisson_open_client(chamber, client_key, server_public, client), "opening a client");
    must(caisson_produce_hello(chamber, *client, one, &one_size), "ProduceHello");
    must(caisson_process_hello(chamber, server_key, one, one_size, two, &two_size), "ProcessHello, ProduceWelcome");
    must(caisson_process_welcome(chamber, *client, two, two_size), "ProcessWelcome");
    one_size = sizeof one;
    must(caisson_produce_initiate(chamber, *client, NULL, 0, one, &one_size), "ProduceInitiate");
    must(caisson_process_initiate(chamber, server_key, one, one_size, server, proven, metadata, &metadata_size),
         "ProcessInitiate");
    if (*server == 0 || memcmp(proven, client_public, sizeof proven) != 0) {
        fprintf(stderr, "codec: another client than ours\n");
        exit(1);
    }
    two_size = sizeof two;
    must(caisson_produce_ready(chamber, *server, NULL, 0, two, &two_size), "ProduceReady");
    metadata_size = sizeof metadata;
    must(caisson_process_ready(chamber, *client, two, two_size, metadata, &metadata_size), "ProcessReady");
}

/* Three messages with one crossing each way. */
static void pass_batch(caisson_chamber* chamber, uint32_t client, uint32_t server)
{
    static const char* const texts[] = {"one", "two", ""};
    uint8_t boxes[3][64];
    uint8_t opened[3][64];
    caisson_batch_item items[3];
    for (int index = 0; index < 3; ++index) {
        items[index] = (caisson_batch_item){.session = client,
                                            .flags = index < 2 ? CAISSON_MORE : 0,
                                            .input = (const uint8_t*)texts[index],
                                            .input_size = strlen(texts[index]),
                                            .output = boxes[index],
                                            .output_size = sizeof boxes[index]};
    }
    must(caisson_produce_messages(chamber, items, 3), "ProduceMessage, a batch");
    for (int index = 0; index < 3; ++index) {
        must(items[index].code, "ProduceMessage");
        items[index] = (caisson_batch_item){.session = server,
                                            .input = boxes[index],
                                            .input_size = items[index].output_size,
                                            .output = opened[index],
                                            .output_size = sizeof opened[index]};
    }
    must(caisson_process_messages(chamber, items, 3), "ProcessMessage, a batch");
    for (int index = 0; index < 3; ++index) {
        must(items[index].code, "ProcessMessage");
        printf("received \"%.*s\"%s\n", (int)items[index].output_size, (const char*)opened[index],
               (items[index].flags & CAISSON_MORE) != 0 ? ", more" : "");
    }
}

int main(int count, char** arguments)
{
    caisson_chamber* chamber = NULL;
    char text[256];
    size_t size = sizeof text;
    uint32_t client = 0;
    uint32_t server = 0;
    uint8_t error[64];
    size_t error_size = sizeof error;
    must(caisson_open(count > 1 ? arguments[1] : NULL, &chamber), "opening the chamber");
    must(caisson_describe(chamber, text, &size), "describing it");
    printf("libcaisson %s, chamber: %s\n", caisson_version(), text);
    shake_hands(chamber, &client, &server);
    pass_batch(chamber, client, server);
    must(caisson_produce_error("400", error, &error_size), "ProduceError");
    must(caisson_close_session(chamber, client), "closing");
    must(caisson_close_session(chamber, server), "closing");
    printf("a session that is closed: %s\n", caisson_code_name(caisson_close_session(chamber, server)));
    caisson_close(chamber);
    return 0;
}
