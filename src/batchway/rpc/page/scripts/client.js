// Calls over HTTP: what is sent, and what came back.

/** Where calls go: from where the page came. */
const endpoint = new URL(location.pathname + location.search, location.origin).href;

/** Headers that are sent too, as [name, value]. Nowhere but here: gone with the page. */
let extraHeaders = [];

/** Why browsers would not send such a header; null if they would. */
function headerComplaint(name, value) {
  let request;
  try {
    request = new Request(endpoint, { method: 'POST', headers: [[name, value]] });
  } catch {
    return 'That is no header: a name has letters, digits and hyphens, a value Latin letters in one line.';
  }
  return request.headers.has(name) ? null : 'Browsers do not let pages set this header.';
}

/** The answer to a body, in whatever way it came: it is not thrown. */
async function post(body, signal) {
  const headers = new Headers({ Accept: 'application/json', 'Content-Type': 'application/json' });
  for (const [name, value] of extraHeaders) headers.set(name, value);
  const start = performance.now();
  try {
    const response = await fetch(endpoint, { method: 'POST', headers, body, signal, cache: 'no-store' });
    const content = await response.arrayBuffer();
    return {
      body,
      status: response.status,
      reason: response.statusText,
      ok: response.ok,
      ms: performance.now() - start,
      bytes: content.byteLength,
      text: new TextDecoder().decode(content),
    };
  } catch (error) {
    const failure = signal.aborted ? 'Cancelled.' : `No answer: ${error.message}.`;
    return { body, failure, ms: performance.now() - start };
  }
}

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** A command for a shell that does the same. */
function curl(body) {
  const headers = [['Content-Type', 'application/json'], ...extraHeaders];
  const lines = [
    `curl ${quote(endpoint)}`,
    ...headers.map(([name, value]) => `-H ${quote(value === '' ? `${name};` : `${name}: ${value}`)}`),
    `--data-raw ${quote(body)}`,
  ];
  return lines.join(' \\\n  ');
}

/** A call. `id` is null for a notification. */
function makeCall(method, params, id) {
  const call = new Map([['jsonrpc', '2.0'], ['method', method]]);
  if (params !== undefined) call.set('params', params);
  if (id !== null) call.set('id', id);
  return call;
}

const seconds = (ms) => (ms < 1000 ? `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`);

function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

const DOUBLE_CLICK_MS = 500;

/** One thing that is sent at a time; asked to send while it does, it stops. */
function makeSender(button, words) {
  let abort = null;
  let began = 0;
  const show = () => {
    fill(button, abort ? 'Cancel' : words, h('kbd', { 'aria-hidden': 'true' }, abort ? 'Esc' : `${COMMAND}↵`));
    button.classList.toggle('primary', !abort);
  };
  show();
  return {
    /** The answer, null if one was on its way, which is cancelled, unless it is a double click that asks. */
    async send(body) {
      if (abort) {
        if (performance.now() - began > DOUBLE_CLICK_MS) abort.abort();
        return null;
      }
      began = performance.now();
      abort = new AbortController();
      show();
      const answer = await post(body, abort.signal);
      abort = null;
      show();
      return answer;
    },
    cancel: () => abort?.abort(),
  };
}

const isApple = /Mac|iPhone|iPad/.test(navigator.platform);
const COMMAND = isApple ? '⌘' : 'Ctrl ';
