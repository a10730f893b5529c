// Docstrings: paragraphs, lists, what is indented, and `code`. Anything else is plain text.

const ITEM = /^[-*] /;

function inline(text) {
  return text.split(/(``[^`]+``|`[^`]+`)/).map((part, index) => (index % 2 ? h('code', part.replace(/^`+|`+$/g, '')) : part));
}

function paragraph(block) {
  const lines = block.split('\n');
  if (ITEM.test(lines[0])) {
    const items = block.split(/\n(?=[-*] )/).map((item) => item.replace(ITEM, ''));
    return h('ul', items.map((item) => h('li', inline(item.replace(/\s+/g, ' ')))));
  }
  if (lines.some((line) => /^\s{2,}/.test(line))) return h('pre.indented', { tabindex: '0' }, block);
  return h('p', inline(lines.join(' ')));
}

/** A docstring as elements; nothing for none. */
function prose(text) {
  const blocks = (text ?? '').replace(/\r\n?/g, '\n').split(/\n[ \t]*\n/).filter((block) => block.trim() !== '');
  return blocks.length > 0 && h('div.prose', blocks.map(paragraph));
}
