package hauberk

// failing returns the error with which a next fails. The chain and its caller
// use the error's methods where no interceptor runs, so that the guard looks at them here.
func (c *Call) failing(err error) (out error) {
	if c.plan.guard != nil {
		returned := false
		defer c.plan.catch(&c.ctx, c, &returned, &out)
		_ = CodeOf(err)
		returned = true
	}
	if c.side == ServerSide {
		return c.plan.withDomain(err, c.method)
	}
	return err
}

// name names the interceptor, for errors.
func (l *leg) name() string {
	if l.by == nil {
		return "a handler"
	}
	return l.by.decl.Name
}

// fail ends the leg with the error of one of its hooks: everything inside is
// cancelled and cannot attempt again, and next returns the first such error.
func (l *leg) fail(err error) {
	if l.note(err) {
		l.stop(err)
	}
}

// note keeps the error of a hook, and reports whether it is the first.
func (l *leg) note(err error) bool { return l.failure.CompareAndSwap(nil, &err) }

// stop cancels everything inside.
func (l *leg) stop(err error) {
	if l.cancel != nil {
		l.cancel(err)
	}
}

// failed returns the error of the leg's own hooks.
func (l *leg) failed() error {
	if err := l.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// broken returns the error of the innermost leg that has failed, this one or an
// outer one.
func (l *leg) broken() error {
	for ; l != nil; l = l.outer {
		if err := l.failed(); err != nil {
			return err
		}
	}
	return nil
}

// errLateHook is the outcome of a call whose interceptor i registered a hook that no next uses.
func (c *Call) errLateHook(i int32) error {
	return errInternal("%s registered a hook after next: register hooks before next", c.plan.entries[i].decl.Name)
}
