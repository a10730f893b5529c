"""nginx as an upstream: a server that this project did not write."""

import signal
import subprocess
import time
from pathlib import Path

from .ports import free_port
from .wire import Address, fetch

BIG_BYTES = 300 * 1024 * 1024
START_S = 20.0
STOP_S = 20.0

CONFIG = """
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    default_type text/plain;
    client_max_body_size 0;
    large_client_header_buffers 8 64k;
    underscores_in_headers on;
    ignore_invalid_headers off;
    keepalive_requests {keepalive_requests};
    {http}

    server {{
        listen 127.0.0.1:{port};
        {server}

        add_header X-Method $request_method always;
        add_header X-Target $request_uri always;
        add_header X-Uri $uri always;
        add_header X-Args $args always;
        add_header X-Host $http_host always;
        add_header X-Seen-Real-IP $http_x_real_ip always;
        add_header X-Seen-Forwarded-For $http_x_forwarded_for always;
        add_header X-Seen-Forwarded-Proto $http_x_forwarded_proto always;
        add_header X-Seen-Forwarded-Host $http_x_forwarded_host always;
        add_header X-Seen-Forwarded-Port $http_x_forwarded_port always;
        add_header X-Seen-Accept-Encoding $http_accept_encoding always;
        add_header X-Seen-Content-Type $http_content_type always;
        add_header X-Seen-Cookie $http_cookie always;
        add_header X-Seen-A $http_a always;
        add_header X-Seen-B $http_b always;
        add_header X-Seen-C $http_c always;
        add_header X-Arg-A $arg_a always;
        add_header X-Arg-B $arg_b always;
        add_header X-Connection $connection always;

        location / {{ return 200 "$request_method $request_uri"; }}
        location ~ /status/201$ {{ return 201 "created"; }}
        location ~ /status/202$ {{ return 202 "accepted"; }}
        location ~ /status/204$ {{ return 204; }}
        location ~ /status/302$ {{ return 302 /elsewhere; }}
        location ~ /status/304$ {{ return 304; }}
        location ~ /status/404$ {{ return 404; error_page 404 /missing; }}
        location ~ /status/500$ {{ return 500 "broken"; }}
        location ~ /status/503$ {{ return 503; }}
        location = /missing {{ internal; return 404 "not here"; }}
        location ~ /twice$ {{ add_header Set-Cookie a=1; add_header Set-Cookie b=2; return 200 "two"; }}
        location ~ /files/(?<file>[a-z.]+)$ {{ alias {directory}/files/$file; }}
        location ~ /gzip/(?<file>[a-z.]+)$ {{
            gzip on; gzip_min_length 1; gzip_types *; gzip_http_version 1.0;
            alias {directory}/files/$file;
        }}
        location ~ /body$ {{
            add_header X-Body $request_body always;
            add_header X-Length $content_length always;
            proxy_pass http://unix:{directory}/empty.sock;
        }}
    }}
    server {{
        listen unix:{directory}/empty.sock;
        return 200 "empty";
    }}
}}
"""


class Nginx:
    """nginx in `directory`, on a port of its own."""

    def __init__(
        self,
        directory: Path,
        *,
        server: str = "",
        http: str = "",
        keepalive_requests: int = 100_000,
    ) -> None:
        """`server` and `http` are added to these blocks of its configuration."""
        self.directory = directory
        self.address: Address = ("127.0.0.1", free_port())
        self.process: subprocess.Popen[bytes] | None = None
        files = directory / "files"
        files.mkdir(parents=True)
        (files / "hello.txt").write_text("hello, world\n" * 200)
        (files / "page.html").write_text("<p>grüezi</p>\n" * 100)
        (files / "bytes.bin").write_bytes(bytes(range(256)) * 16)
        with (files / "big.bin").open("wb") as big:
            big.truncate(BIG_BYTES)  # sparse: takes no disk
        self.config_path = directory / "nginx.conf"
        self.config_path.write_text(
            CONFIG.format(
                directory=directory,
                port=self.address[1],
                server=server,
                http=http,
                keepalive_requests=keepalive_requests,
            )
        )

    def start(self) -> "Nginx":
        """Start it and wait until it answers."""
        command = ["nginx", "-c", str(self.config_path), "-p", str(self.directory)]
        with (self.directory / "stderr.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        give_up = time.monotonic() + START_S
        while not self._answers():
            assert self.process.poll() is None, (self.directory / "stderr.log").read_text()
            assert time.monotonic() < give_up
            time.sleep(0.01)
        return self

    def _answers(self) -> bool:
        try:
            return fetch(self.address, "GET", "/", timeout_s=5).status == 200
        except OSError:
            return False

    def stop(self) -> None:
        """End it, with all its connections."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(STOP_S)
            self.process = None

    def restart(self) -> None:
        """End it and start it again on its port."""
        self.stop()
        self.start()
