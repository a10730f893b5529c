"""The keys of APISIX's config.yaml that batchway has no use for.

They are told apart from spelling mistakes: one of these is a warning, any other unknown key an
error. A key whose whole subtree is unused stands here without what is below it.

Source: conf/config.yaml.example, apisix/cli/config.lua, schema.lua and ngx_tpl.lua of APISIX 3.14
to 3.18, and the config.yaml that its Helm chart writes (`vault`, `enable_heartbeat`,
`enable_debug`, `apisix.enable_admin_cors`).
"""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ROOT = _names("discovery etcd ext-plugin graphql stream_plugins vault wasm xrpc")

APISIX = _names("""
    disable_sync_configuration_during_start
    disable_upstream_healthcheck enable_admin_cors enable_debug
    enable_dev_mode enable_heartbeat enable_http2 enable_ipv6 enable_resolv_search_opt
    enable_reuseport enable_server_tokens events extra_lua_cpath extra_lua_path
    global_rule_skip_internal_api id lru lua_module_hook
    max_post_args_readable_size proxy_cache proxy_mode proxy_protocol
    show_upstream_status_in_response_header status stream_proxy tracing
    worker_startup_time_threshold
""")

ROUTER = _names("ssl")

LISTEN = _names("enable_http2 enable_http3 enable_quic proxy_protocol proxy_protocol_to_upstream")

SSL = _names("""
    enable enable_http2 fallback_sni key_encrypt_salt listen listen_port ssl_cert ssl_cert_key
    ssl_ciphers ssl_protocols ssl_session_tickets ssl_trusted_combined_path
""")

NGINX = _names("""
    enable_cpu_affinity envs error_log error_log_level event http_admin_configuration_snippet
    http_configuration_snippet http_end_configuration_snippet http_server_configuration_snippet
    http_server_location_configuration_snippet main_configuration_snippet max_pending_timers
    max_running_timers meta stream stream_configuration_snippet user worker_processes
    worker_rlimit_core worker_rlimit_nofile worker_shutdown_timeout
""")

NGINX_HTTP = _names("""
    access_log_buffer charset
    client_body_timeout client_header_timeout client_max_body_size custom_lua_shared_dict
    keepalive_timeout lua_shared_dict proxy_ssl_server_name send_timeout
    underscores_in_headers upstream variables_hash_max_size
""")

DEPLOYMENT = _names("""
    certs etcd role_control_plane role_traditional
""")

DATA_PLANE = _names("control_plane")

ADMIN = _names("""
    admin_api_mtls admin_api_version admin_key_required enable_admin_cors enable_admin_ui
""")
