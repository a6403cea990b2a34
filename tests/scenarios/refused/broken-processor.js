module.exports = {
  prepare() {
    return next(;
  },
};
