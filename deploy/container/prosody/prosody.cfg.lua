-- A Prosody for trying the service on one machine. In production, use certificates and c2s_require_encryption = true.
plugin_paths = { "/usr/local/lib/prosody/modules" }
data_path = "/var/lib/prosody"
pidfile = "/var/lib/prosody/prosody.pid"
log = { info = "*console" }

modules_enabled = { "admin_shell", "carbons", "disco", "mam", "ping", "roster", "saslauth", "smacks" }
modules_disabled = { "s2s" }
authentication = "internal_hashed"
c2s_require_encryption = false
allow_unencrypted_plain_auth = true

-- The service is in another container. compose.yml does not publish this port.
component_interfaces = { "*" }

VirtualHost "localhost"
  modules_enabled = { "event_pusher_tap" }

Component "pusher.localhost"
  component_secret = ENV_PUSHER_SECRET
  modules_disabled = { "s2s" }
