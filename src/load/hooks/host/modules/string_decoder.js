// `string_decoder`: texts in pieces; a character that is cut in two waits for its rest.
(function (exports, require) {
  'use strict';
  const { Buffer } = require('buffer');
  exports.StringDecoder = class StringDecoder {
    constructor(encoding = 'utf8') {
      this.encoding = encoding;
      this.rest = Buffer.alloc(0);
    }
    write(piece) {
      let bytes = Buffer.concat([this.rest, Buffer.from(piece)]);
      let kept = 0;
      if (/^utf-?8$/i.test(this.encoding)) {
        for (let back = 1; back <= 3 && back <= bytes.length; back += 1) {
          const byte = bytes[bytes.length - back];
          if (byte >= 0xc0) {
            if ((byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) > back) kept = back;
            break;
          }
          if (byte < 0x80) break;
        }
      }
      this.rest = bytes.subarray(bytes.length - kept);
      return bytes.subarray(0, bytes.length - kept).toString(this.encoding);
    }
    end(piece) {
      const text = piece === undefined ? '' : this.write(piece);
      const rest = this.rest.toString(this.encoding);
      this.rest = Buffer.alloc(0);
      return text + rest;
    }
  };
})
