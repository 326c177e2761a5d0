// Chat messages to a local user without a connected client, as for push notifications to a phone.
// Headers and body are those of the default module, which sends the form author, server, receiver, message.

export function shouldMakeReq({ acc, dir, packet }) {
  return dir === 'out' && acc.sessions === 0 && packet.attrs.type === 'chat' && packet.text('body') !== '';
}
