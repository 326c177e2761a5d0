/**
 * A business server that is asked before each push. Replace `decide` with your own rules. Listens on 127.0.0.1, port 8001 or the value
 * of PORT.
 */
import { createServer } from 'node:http';

/** Users who receive nothing, and users who receive a copy. A real server would read them from a database. */
const doNotDisturb = new Set(['bob']);
const delegates = new Map([['carol', ['carol', 'dave']]]);

const leftRoom = 1504;
const encrypted = 0;

function decide({ userIDList, contentType, sendID, content }) {
  if (contentType === leftRoom) return refuse(5001, 'who leaves knows it');

  const [receiver] = userIDList;
  if (receiver !== undefined && doNotDisturb.has(receiver)) return refuse(5002, 'do not disturb', `${receiver} wants no pushes`);

  return {
    actionCode: 0,
    nextCode: '',
    userIDList: delegates.get(receiver) ?? null, // null: whom it was for
    offlinePushInfo: { title: `Message from ${sendID}`, desc: contentType === encrypted ? 'You have a new message' : content },
  };
}

/** The server chooses `errCode`, from 5000 to 9999. */
function refuse(errCode, errMsg, errDlt = '') {
  return { actionCode: 0, nextCode: 1, errCode, errMsg, errDlt };
}

const server = createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const answer = JSON.stringify(decide(JSON.parse(Buffer.concat(parts).toString())));
  console.log(`${request.headers.operationid} ${answer}`);
  response.writeHead(200, { 'content-type': 'application/json' }).end(answer);
});

server.listen(Number(process.env.PORT ?? 8001), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
