import { describe, expect, test } from 'vitest';
import { defaultTls } from '../../src/config/tls.ts';
import { startClientSource } from '../support/client-source.ts';
import { eventually } from '../support/eventually.ts';
import { requirePackage } from '../support/packages.ts';
import { startProsody } from '../support/prosody.ts';
import { makeSelfSigned } from '../support/self-signed.ts';

const ours = makeSelfSigned(['DNS:localhost']);
const others = makeSelfSigned(['DNS:localhost']);
const misnamed = makeSelfSigned(['DNS:chat.example']);

describe.skipIf(!(await requirePackage('prosody')))('an account that encrypts', () => {
  test.each(['starttls', 'direct'] as const)(
    'with %s believes the certificate that its CA has signed, and no other',
    async (encryption) => {
      await using prosody = await startProsody({ tap: false, tls: ours });
      const port = encryption === 'direct' ? prosody.c2sTlsPort : prosody.c2sPort;
      await using right = await startClientSource({ port, attachment: { encryption, tls: { ...defaultTls, ca: ours.cert } } });
      await using wrong = await startClientSource({ port, attachment: { encryption, tls: { ...defaultTls, ca: others.cert } } });
      await using none = await startClientSource({ port, attachment: { encryption } });

      await eventually(() => expect(right.reason()).toBe(''));
      for (const rig of [wrong, none])
        await eventually(() =>
          expect(rig.reason()).toMatch(/^refused: the certificate of localhost is not accepted: .*See \[attach\.bot\] tls/),
        );
    },
  );

  test('expects a certificate for its own domain, or for the configured name', async () => {
    await using prosody = await startProsody({ tap: false, tls: misnamed });
    const encrypted = { encryption: 'starttls' } as const;
    const tls = { ...defaultTls, ca: misnamed.cert };
    await using plain = await startClientSource({ port: prosody.c2sPort, attachment: { ...encrypted, tls } });
    await using told = await startClientSource({
      port: prosody.c2sPort,
      attachment: { ...encrypted, tls: { ...tls, serverName: 'chat.example' }, resource: 'told' },
    });

    await eventually(() => expect(plain.reason()).toMatch(/^refused: the certificate of localhost is not accepted: .*altnames/));
    await eventually(() => expect(told.reason()).toBe(''));
  });

  test('does not send its password to a server that offers no encryption', async () => {
    await using prosody = await startProsody({ tap: false });
    await using rig = await startClientSource({ port: prosody.c2sPort, attachment: { encryption: 'starttls' } });
    await eventually(() => expect(rig.reason()).toMatch(/^refused: the server does not offer STARTTLS/));
  });

  test('reports the missing table if the server requires encryption', async () => {
    await using prosody = await startProsody({ tap: false, tls: ours });
    await using rig = await startClientSource({ port: prosody.c2sPort });
    await eventually(() => expect(rig.reason()).toBe('refused: the server requires encryption: add a table [attach.bot.tls]'));
  });
});
