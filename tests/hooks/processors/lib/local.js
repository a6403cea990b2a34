exports.name = 'local'; const index = require('.'); exports.cycle = () => index.name + ' of ' + exports.name;
