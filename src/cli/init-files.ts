/** The files that `init` writes: the configuration of the service, and the part of the chat server's configuration that belongs to it. */

export const servers = ['prosody', 'ejabberd', 'mongooseim'] as const;

export type Server = (typeof servers)[number];

/** Checked answers; names of hosts have no characters that the formats quote. */
export interface Answers {
  readonly server: Server;
  /** A domain of the users. */
  readonly host: string;
  /** The component's domain. */
  readonly domain: string;
  /** The component port of the server. */
  readonly service: URL;
  readonly backend: URL;
}

export interface InitFile {
  readonly name: string;
  readonly text: string;
  readonly description: string;
  /** Only its owner may read it. */
  readonly isSecret: boolean;
}

/** The names start with that of the configuration file: `event-pusher.toml`, `event-pusher.secret`, `event-pusher.prosody.cfg.lua`. */
export function initFiles(answers: Answers, { base, secret }: { readonly base: string; readonly secret: string }): readonly InitFile[] {
  const configuration = { name: `${base}.toml`, description: 'the configuration of the service', isSecret: false };
  const snippet = { description: `for the configuration of the server`, isSecret: true };
  const component = [
    { ...configuration, text: componentConfig(answers, `${base}.secret`) },
    { name: `${base}.secret`, text: `${secret}\n`, description: 'the secret that both have', isSecret: true },
  ];
  switch (answers.server) {
    case 'prosody':
      return [...component, { ...snippet, name: `${base}.prosody.cfg.lua`, text: prosodySnippet(answers, secret) }];
    case 'ejabberd':
      return [...component, { ...snippet, name: `${base}.ejabberd.yml`, text: ejabberdSnippet(answers, secret) }];
    case 'mongooseim':
      return [
        { ...configuration, text: postsConfig(answers) },
        { ...snippet, isSecret: false, name: `${base}.mongooseim.toml`, text: mongooseImSnippet },
      ];
    default:
      return answers.server satisfies never;
  }
}

/** The next steps of an operator, one a line. `plugins`: the folder of the modules in this package. */
export function nextSteps(
  { server }: Answers,
  { files, plugins }: { readonly files: readonly string[]; readonly plugins: string },
): readonly string[] {
  const snippet = files.at(-1) ?? '';
  const [config = ''] = files;
  const then = [`event-pusher check --online --config ${config}`, `event-pusher run --config ${config}`];
  switch (server) {
    case 'prosody':
      return [
        'sudo mkdir -p /usr/local/lib/prosody/modules',
        `sudo cp -r ${plugins}/prosody/mod_* /usr/local/lib/prosody/modules/`,
        `sudo install -m 640 -g prosody ${snippet} /etc/prosody/conf.d/event-pusher.cfg.lua`,
        'sudo prosodyctl check config && sudo systemctl restart prosody',
        ...then,
      ];
    case 'ejabberd':
      return [
        'MODULES=/var/lib/ejabberd/.ejabberd-modules; sudo install -d "$MODULES/sources/mod_event_pusher_tap"',
        `sudo cp -r ${plugins}/ejabberd/. "$MODULES/sources/mod_event_pusher_tap" && sudo chown -R ejabberd: "$MODULES"`,
        'sudo ejabberdctl module_install mod_event_pusher_tap',
        `sudo install -m 640 -g ejabberd ${snippet} /etc/ejabberd/modules.d/mod_event_pusher_tap.yml`,
        'sudo ejabberdctl reload_config',
        ...then,
      ];
    case 'mongooseim':
      return [`append ${snippet} to mongooseim.toml, and restart MongooseIM`, ...then];
    default:
      return server satisfies never;
  }
}

const head = '# Written by "event-pusher init". docs/reference/settings.md lists every key.';

function componentConfig({ host, domain, service, backend }: Answers, secretFile: string): string {
  return `${head}

[general]
  hosts = ["${host}"]                      # the domains of your users

[attach.chat]
  type = "component"
  service = "${service.protocol}//${service.host}"     # the component port of the server
  domain = "${domain}"
  secret = "\${file:${secretFile}}"

${rest(backend)}`;
}

function postsConfig({ host, backend }: Answers): string {
  return `${head}

[general]
  hosts = ["${host}"]                      # the domains of your users

[attach.chat]
  type = "http"                            # takes the requests of MongooseIM's own event pusher
  listen = "127.0.0.1:8080"

${rest(backend)}`;
}

function rest(backend: URL): string {
  return `[outgoing_pools.http.http_pool]
  workers = 50                             # requests in flight at most

  [outgoing_pools.http.http_pool.connection]
    host = "${backend.origin}"

[[modules.mod_event_pusher.backend.http]]
  name = "push"
  path = ${JSON.stringify(backend.pathname)}

[spool]
  path = "var/spool.sqlite"                # deliveries until they are settled; on a local disk

[history]
  enabled = true                           # "event-pusher events" finds what was delivered in the last 24 hours; records who writes to whom

[admin]
  listen = "127.0.0.1:9464"                # metrics, health and the API
`;
}

function prosodySnippet({ host, domain }: Answers, secret: string): string {
  return `-- Written by "event-pusher init", for Prosody. If the VirtualHost below is configured elsewhere with modules_enabled of its own, add the
-- module to that list and remove the two lines here: only the last list applies.
VirtualHost "${host}"
  modules_enabled = { "event_pusher_tap" }

Component "${domain}"
  component_secret = "${secret}"
  modules_disabled = { "s2s" }
`;
}

function ejabberdSnippet({ domain, service }: Answers, secret: string): string {
  return `# Written by "event-pusher init", for ejabberd. If ejabberd.yml has an s2s_access, add the deny to its rule and remove the last part here.
listen:
  - port: ${service.port}
    ip: "127.0.0.1"
    module: ejabberd_service
    access: all
    shaper: none
    hosts:
      ${domain}:
        password: "${secret}"

modules:
  mod_event_pusher_tap: {}

acl:
  pusher_domain:
    server: ${domain}
access_rules:
  s2s:
    - deny: pusher_domain
    - allow: all
s2s_access: s2s
`;
}

const mongooseImSnippet = `# Written by "event-pusher init", for MongooseIM 5.1 and later.
[outgoing_pools.http.event_pusher]
  scope = "global"
  workers = 50
  call_timeout = 1000

  [outgoing_pools.http.event_pusher.connection]
    host = "http://127.0.0.1:8080"
    request_timeout = 500

[[modules.mod_event_pusher.http.handlers]]
  pool_name = "event_pusher"
`;
