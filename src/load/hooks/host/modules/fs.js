// `fs`: reading what lies in the script's folder. Whatever else it is asked for needs Node.
(function (exports, require, module, native) {
  'use strict';
  const { Buffer } = require('buffer');
  const FILE = 1;
  const place = (file) => require('path').resolve(file instanceof URL ? require('url').fileURLToPath(file) : String(file));
  const failed = (code, message, call, file) => Object.assign(new Error(`${code}: ${message}, ${call} '${file}'`), { code, path: file, syscall: call });
  function read(file, options) {
    const found = native.read(place(file));
    if (typeof found === 'string') throw failed(...JSON.parse(found), 'open', file);
    const encoding = typeof options === 'string' ? options : options && options.encoding;
    const buffer = Buffer.from(found.buffer);
    return encoding ? buffer.toString(encoding) : buffer;
  }
  function stat(file) {
    const kind = native.dataKind(place(file));
    if (!kind) throw failed('ENOENT', 'no such file or directory', 'stat', file);
    return { isFile: () => kind === FILE, isDirectory: () => kind !== FILE, isSymbolicLink: () => false, size: kind === FILE ? read(file).length : 0 };
  }
  const access = (file) => void stat(file);
  const later = (run) => (...args) => {
    const done = args.pop();
    queueMicrotask(() => {
      let value;
      try {
        value = run(...args);
      } catch (error) {
        done(error);
        return;
      }
      done(null, value);
    });
  };
  const known = {
    readFileSync: read,
    existsSync: (file) => native.dataKind(place(file)) !== 0,
    statSync: stat,
    lstatSync: stat,
    accessSync: access,
    readFile: later(read),
    stat: later(stat),
    access: later(access),
    exists: (file, done) => queueMicrotask(() => done(native.dataKind(place(file)) !== 0)),
    constants: { F_OK: 0, R_OK: 4, W_OK: 2, X_OK: 1 },
    promises: { readFile: async (...args) => read(...args), stat: async (file) => stat(file), access: async (file) => access(file) },
  };
  const LACKING = ('appendFile chmod chown close copyFile cp createReadStream createWriteStream fsync mkdir mkdtemp open opendir read readdir realpath '
    + 'rename rm rmdir symlink truncate unlink utimes watch watchFile write writeFile').split(' ');
  for (const name of LACKING.flatMap((one) => [one, `${one}Sync`])) {
    known[name] = () => {
      throw Object.assign(new Error(`the embedded JavaScript has no 'fs.${name}'`), { code: 'ERR_NEEDS_NODE' });
    };
  }
  Object.assign(exports, known);
})
