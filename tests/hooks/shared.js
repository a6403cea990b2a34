'use strict';

// Functions that scripts of the tests call by name.
module.exports = { f, g };

function f(requestParams, context, ee, next) {
  return next();
}

function g(context, ee, next) {
  return next();
}
