// The list of methods, by procedure, and the filter over it.

/** Methods by group, in the order of the document; those of no procedure first. */
function makeGroups(methods) {
  const groups = new Map();
  for (const method of methods) {
    const name = groupOf(method);
    if (!groups.has(name)) groups.set(name, { name, tag: method.tags?.[0], methods: [] });
    groups.get(name).methods.push(method);
  }
  return [...groups.values()].sort((one, other) => Boolean(one.tag) - Boolean(other.tag));
}

/** What the filter looks into. */
const wordsOf = (method) => [
  method.name, method.summary, method.description, ...method.params.map((param) => param.name),
].join('\n').toLowerCase();

function makeSidebar(groups) {
  const links = new Map();
  const sections = groups.map((group) => {
    const heading = freshId('group');
    const items = group.methods.map((method) => {
      const link = h('a', { href: linkTo(method.name), title: method.name }, h('span', shortName(method)));
      links.set(method.name, { link, words: wordsOf(method), item: h('li', link) });
      return links.get(method.name).item;
    });
    return h('section', h('h2', { id: heading }, group.name), h('ul', { 'aria-labelledby': heading }, items));
  });
  const nothing = h('p.empty', { hidden: true }, 'No method has these words.');
  fill(byId('methods'), sections, nothing);
  const search = byId('search');

  const visible = () => [...links.values()].filter(({ item }) => !item.hidden).map(({ link }) => link);

  function filter() {
    const terms = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const { words, item } of links.values()) item.hidden = !terms.every((term) => words.includes(term));
    for (const one of sections) one.hidden = !one.querySelector('li:not([hidden])');
    const count = visible().length;
    nothing.hidden = count > 0 || links.size === 0;
    byId('found').textContent = terms.length ? `${count} of ${links.size} methods` : '';
  }

  /** Go up and down through the field and the methods that are left. */
  function step(event) {
    const stops = [search, ...visible()];
    const at = stops.indexOf(document.activeElement);
    const to = at + { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (at < 0 || !(to >= 0 && to < stops.length)) return;
    event.preventDefault();
    stops[to].focus();
  }

  search.addEventListener('input', filter);
  search.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && search.value.trim() !== '') visible()[0]?.click();
    if (event.key === 'Escape' && search.value !== '') {
      event.stopPropagation();
      search.value = '';
      filter();
    }
  });
  byId('sidebar').addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') step(event);
  });
  return {
    /** Mark the method that is shown; none for null. */
    mark(name) {
      for (const [one, { link }] of links) {
        if (one === name) link.setAttribute('aria-current', 'page');
        else link.removeAttribute('aria-current');
      }
      links.get(name)?.link.scrollIntoView({ block: 'nearest' });
    },
  };
}
