module.exports = { kind: 'CommonJS' };
