exports.name = 'index'; require('./local.js');
