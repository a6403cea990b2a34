//! What the engine asks the host about: where a module is and what it says, and who heard of a rejected promise.
//!
//! It stands alone because the engine calls here, in the middle of JavaScript, and not the other way round.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use rquickjs::loader::{ImportAttributes, Loader, Resolver};
use rquickjs::module::Declared;
use rquickjs::{Ctx, Function, Module, Persistent, Runtime};

/// A function of the host.
pub(super) type Entry = Persistent<Function<'static>>;

/// What the engine calls back into: set once the host is there, taken away before the engine goes.
#[derive(Clone, Default)]
pub(super) struct Hooked(pub(super) Rc<RefCell<Option<Linking>>>);

/// The entry points of `host/quickjs.js` for that.
pub(super) struct Linking {
    pub(super) resolve: Entry,
    pub(super) source: Entry,
    pub(super) rejection: Entry,
}

/// Tells the host of promises that are rejected while nothing waits for them.
pub(super) fn track(runtime: &Runtime, hooked: &Hooked, rejections: &Rc<Cell<bool>>) {
    let (hooked, rejections) = (hooked.clone(), rejections.clone());
    runtime.set_host_promise_rejection_tracker(Some(Box::new(move |ctx, promise, reason, handled| {
        let entry = hooked.0.borrow().as_ref().map(|linking| linking.rejection.clone());
        let Some(Ok(rejection)) = entry.map(|entry| entry.restore(&ctx)) else { return };
        rejections.set(true);
        // It only takes a note; that there is no memory for it is no reason to stop.
        if rejection.call::<_, ()>((promise, reason, handled)).is_err() {
            ctx.catch();
        }
    })));
}

impl Hooked {
    fn linked<'js>(&self, ctx: &Ctx<'js>, which: fn(&Linking) -> &Entry) -> rquickjs::Result<Function<'js>> {
        let entry = self.0.borrow().as_ref().map(|linking| which(linking).clone());
        entry.ok_or(rquickjs::Error::Unknown)?.restore(ctx)
    }
}

impl Resolver for Hooked {
    fn resolve<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        base: &str,
        name: &str,
        _attributes: Option<ImportAttributes<'js>>,
    ) -> rquickjs::Result<String> {
        self.linked(ctx, |linking| &linking.resolve)?.call((base, name))
    }
}

impl Loader for Hooked {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _attributes: Option<ImportAttributes<'js>>,
    ) -> rquickjs::Result<Module<'js, Declared>> {
        let source: String = self.linked(ctx, |linking| &linking.source)?.call((name,))?;
        let module = Module::declare(ctx.clone(), name, source)?;
        let meta = module.meta()?;
        meta.set("url", format!("file://{name}"))?;
        meta.set("filename", name)?;
        meta.set("dirname", name.rsplit_once('/').map_or("", |(folder, _)| folder))?;
        Ok(module)
    }
}
