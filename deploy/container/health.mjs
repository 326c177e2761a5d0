/** The health check of the image: exits with 0 if the service responds. EVENT_PUSHER_HEALTH replaces the address. */
const address = process.env.EVENT_PUSHER_HEALTH ?? 'http://127.0.0.1:9464/healthz';
try {
  const answer = await fetch(address, { redirect: 'error', signal: AbortSignal.timeout(4000) });
  process.stdout.write(`${address} answered ${answer.status}\n`);
  process.exitCode = answer.ok ? 0 : 1;
} catch (thrown) {
  process.stdout.write(`${address} did not answer: ${thrown.cause?.message ?? thrown.message}\n`);
  process.exitCode = 1;
}
