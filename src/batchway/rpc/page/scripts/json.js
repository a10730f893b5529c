// JSON as it is written: numbers keep their digits and objects their order, which JSON.parse loses.
// Objects are Maps. A number that JavaScript would write otherwise (1.0, 12345678901234567890) is a Literal.

class Literal {
  constructor(source) {
    this.source = source;
  }
}

class JsonError extends Error {
  constructor(expected, text, offset) {
    const before = text.slice(0, offset).split('\n');
    const found = offset < text.length ? JSON.stringify(text[offset]) : 'the end';
    super(`line ${before.length}, column ${before.at(-1).length + 1}: expected ${expected}, found ${found}`);
  }
}

const STRING = /"(?:[^"\\\u0000-\u001f]+|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const WORD = /true|false|null/y;
const SPACE = /[ \t\r\n]*/y;
const WORDS = { true: true, false: false, null: null };

/** The value of a text. Throws JsonError. */
function parseJson(text) {
  let at = 0;

  const take = (pattern) => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match === null) return null;
    at = pattern.lastIndex;
    return match[0];
  };
  const next = (character) => {
    take(SPACE);
    if (text[at] !== character) return false;
    at += 1;
    return true;
  };
  const fail = (expected) => {
    throw new JsonError(expected, text, at);
  };

  function value() {
    if (next('{')) return object();
    if (next('[')) return array();
    const string = take(STRING);
    if (string !== null) return JSON.parse(string);
    const number = take(NUMBER);
    if (number !== null) return String(Number(number)) === number ? Number(number) : new Literal(number);
    const word = take(WORD);
    return word === null ? fail('a value') : WORDS[word];
  }

  function object() {
    const found = new Map();
    if (next('}')) return found;
    do {
      take(SPACE);
      const name = take(STRING) ?? fail('a name in quotes');
      next(':') || fail('a colon');
      found.set(JSON.parse(name), value());
    } while (next(','));
    next('}') || fail('a comma or }');
    return found;
  }

  function array() {
    const found = [];
    if (next(']')) return found;
    do found.push(value()); while (next(','));
    next(']') || fail('a comma or ]');
    return found;
  }

  const found = value();
  take(SPACE);
  if (at < text.length) fail('nothing more');
  return found;
}

/** The value of a text, undefined if it is no JSON. */
function maybeJson(text) {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}

/** What parseJson would have made of an ordinary value. */
const toJson = (value) => (value === undefined ? undefined : parseJson(JSON.stringify(value)));

const isObject = (value) => value instanceof Map;

/** In one line. `space` stands behind colons and commas. */
function writeJson(value, space = '') {
  if (isObject(value)) {
    const members = [...value].map(([name, member]) => `${JSON.stringify(name)}:${space}${writeJson(member, space)}`);
    return `{${members.join(`,${space}`)}}`;
  }
  if (Array.isArray(value)) return `[${value.map((item) => writeJson(item, space)).join(`,${space}`)}]`;
  return value instanceof Literal ? value.source : JSON.stringify(value);
}

const LINE = 64;

/** In lines; what is flat and short stays in one. */
function layOut(value, indent = '') {
  const parts = isObject(value) ? [...value.values()] : value;
  if (!Array.isArray(parts)) return writeJson(value);
  const isFlat = parts.every((part) => !isObject(part) && !Array.isArray(part));
  if (isFlat && parts.length <= 12) {
    const line = writeJson(value, ' ');
    if (line.length + indent.length <= LINE) return line;
  }
  const deeper = `${indent}  `;
  const lines = isObject(value)
    ? [...value].map(([name, member]) => `${deeper}${JSON.stringify(name)}: ${layOut(member, deeper)}`)
    : value.map((item) => deeper + layOut(item, deeper));
  const [open, close] = isObject(value) ? '{}' : '[]';
  return `${open}\n${lines.join(',\n')}\n${indent}${close}`;
}

const TOKEN = /("(?:[^"\\]+|\\.)*")(\s*:)?|-?\d[\d.eE+-]*|\b(?:true|false|null)\b/g;
const COLORED = 100_000;
const SHOWN = 1_000_000;

/** JSON in colours; without them, and cut, where there is much. */
function colored(text) {
  if (text.length > SHOWN) {
    return [text.slice(0, SHOWN), h('p.note', `… ${(text.length - SHOWN).toLocaleString('en')} more characters. The copy has all of them.`)];
  }
  if (text.length > COLORED) return [text];
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    const [token, string, colon] = match;
    parts.push(text.slice(end, match.index));
    end = match.index + token.length;
    if (colon !== undefined) parts.push(h('span.json-name', string), colon);
    else if (string !== undefined) parts.push(h('span.json-string', string));
    else parts.push(h(/^[-\d]/.test(token) ? 'span.json-number' : 'span.json-word', token));
  }
  parts.push(text.slice(end));
  return parts;
}

/** A block of code that can be scrolled by keyboard too. */
function codeBlock(label, ...children) {
  return h('pre.code-block', { tabindex: '0', role: 'group', 'aria-label': label }, ...children);
}
