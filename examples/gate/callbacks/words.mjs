// Decides about a message while the chat server holds it. The other callbacks (shouldMakeReq, prepareHeaders, prepareBody) are those of
// the default module: delivered messages are pushed as a form.
import { defineCallbacks } from 'xmpp-event-pusher/callbacks';

export const { gate } = defineCallbacks({
  gate({ packet, opts: { refuse = [], mask = [] } }) {
    const text = packet.text('body');
    if (refuse.some((word) => occursIn(text, word))) return { refuse: 'Your message was not sent: it has a word that is not wanted here.' };

    const masked = mask.reduce((left, word) => left.replace(wordLike(word), '*'.repeat(word.length)), text);
    return masked === text ? true : { body: masked };
  },
});

function occursIn(text, word) {
  return wordLike(word).test(text);
}

/** The word by itself, in any case; not as a part of a longer word in any script. */
function wordLike(word) {
  const literal = word.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
  return new RegExp(`(?<!\\p{L})${literal}(?!\\p{L})`, 'giu');
}
