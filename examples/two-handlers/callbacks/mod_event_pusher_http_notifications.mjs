// Chat messages on their way to a local user who has no client connected: what a push to a phone is for.
// Headers and body are left to the default module, which sends the form author, server, receiver, message.

export function shouldMakeReq({ acc, dir, packet }) {
  return dir === 'out' && acc.sessions === 0 && packet.attrs.type === 'chat' && packet.text('body') !== '';
}
