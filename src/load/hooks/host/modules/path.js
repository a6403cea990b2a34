// `path`, of POSIX.
(function (exports, require, module) {
  'use strict';
  function normalize(text) {
    if (text === '') return '.';
    const absolute = text[0] === '/';
    const trailing = text.length > 1 && text.endsWith('/');
    const parts = [];
    for (const part of text.split('/')) {
      if (part === '' || part === '.') continue;
      if (part === '..' && parts.length && parts[parts.length - 1] !== '..') parts.pop();
      else if (part !== '..' || !absolute) parts.push(part);
    }
    let whole = parts.join('/');
    if (!whole && !absolute) whole = '.';
    if (whole && trailing) whole += '/';
    return (absolute ? '/' : '') + whole;
  }
  const path = {
    sep: '/',
    delimiter: ':',
    normalize,
    join: (...parts) => normalize(parts.filter((part) => part !== '').join('/') || '.'),
    resolve: (...parts) => {
      let whole = '';
      for (const part of parts.reverse()) {
        if (part === '') continue;
        whole = whole ? `${part}/${whole}` : part;
        if (part[0] === '/') break;
      }
      if (whole[0] !== '/') whole = `${process.cwd()}/${whole}`;
      whole = normalize(whole);
      return whole.length > 1 ? whole.replace(/\/$/, '') : whole;
    },
    isAbsolute: (text) => text[0] === '/',
    dirname: (text) => {
      const trimmed = text.replace(/\/+$/, '');
      const at = trimmed.lastIndexOf('/');
      if (at < 0) return trimmed === '' && text !== '' ? '/' : '.';
      return at === 0 ? '/' : trimmed.slice(0, at).replace(/\/+$/, '') || '/';
    },
    basename: (text, ending) => {
      const name = text.replace(/\/+$/, '').split('/').pop();
      return ending && name.endsWith(ending) && name !== ending ? name.slice(0, -ending.length) : name;
    },
    extname: (text) => {
      const name = path.basename(text);
      const at = name.lastIndexOf('.');
      return at > 0 ? name.slice(at) : '';
    },
    relative: (from, to) => {
      const [a, b] = [path.resolve(from), path.resolve(to)].map((text) => text.split('/').filter(Boolean));
      let same = 0;
      while (same < a.length && same < b.length && a[same] === b[same]) same += 1;
      return [...a.slice(same).map(() => '..'), ...b.slice(same)].join('/');
    },
    parse: (text) => {
      const [base, ext] = [path.basename(text), path.extname(text)];
      const dir = text.includes('/') ? path.dirname(text) : '';
      return { root: text[0] === '/' ? '/' : '', dir, base, ext, name: ext ? base.slice(0, -ext.length) : base };
    },
    format: (parts) => {
      const base = parts.base || `${parts.name || ''}${parts.ext || ''}`;
      const dir = parts.dir || parts.root;
      return dir ? (dir === parts.root ? dir + base : `${dir}/${base}`) : base;
    },
    toNamespacedPath: (text) => text,
  };
  path.posix = path;
  module.exports = path;
})
