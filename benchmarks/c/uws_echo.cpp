/* uWebSockets, as its example has it, without permessage-deflate:
 *
 *   uws_echo [--broadcast] [--tls FOLDER]
 *
 * FOLDER has certificate.pem and key.pem. Prints its port; ends with its parent. */
#include "App.h"
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <sys/prctl.h>

struct Data {
};

template <bool SSL>
static void run(uWS::SocketContextOptions options, bool broadcast)
{
    uWS::TemplatedApp<SSL> app(options);
    typename uWS::TemplatedApp<SSL>::template WebSocketBehavior<Data> behavior;
    behavior.compression = uWS::DISABLED;
    behavior.maxPayloadLength = 64 << 20;
    behavior.maxBackpressure = 64 << 20;
    behavior.open = [broadcast](auto *ws) {
        if (broadcast) {
            ws->subscribe("all");
        }
    };
    behavior.message = [broadcast, &app](auto *ws, std::string_view message,
                                         uWS::OpCode opcode) {
        if (broadcast) {
            app.publish("all", message, opcode);
        }
        else {
            ws->send(message, opcode);
        }
    };
    app.template ws<Data>("/*", std::move(behavior))
        .listen("127.0.0.1", 0,
                [](auto *socket) {
                    if (socket == nullptr) {
                        std::exit(1);
                    }
                    auto *plain = reinterpret_cast<us_socket_t *>(socket);
                    std::printf("%d\n", us_socket_local_port(SSL, plain));
                    std::fflush(stdout);
                })
        .run();
}

int main(int argc, char **argv)
{
    bool broadcast = false;
    std::string folder;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 1; i < argc; i++) {
        if (std::strcmp(argv[i], "--broadcast") == 0) {
            broadcast = true;
        }
        else if (std::strcmp(argv[i], "--tls") == 0 && i + 1 < argc) {
            folder = argv[++i];
        }
    }
    if (folder.empty()) {
        run<false>({}, broadcast);
    }
    else {
        std::string key = folder + "/key.pem";
        std::string certificate = folder + "/certificate.pem";
        uWS::SocketContextOptions options;
        options.key_file_name = key.c_str();
        options.cert_file_name = certificate.c_str();
        run<true>(options, broadcast);
    }
}
