//go:build !linux

package load

import (
	"context"
	"errors"
	"fmt"
	"runtime"
)

func unsupported() error {
	return fmt.Errorf("load from %s: %w; it needs the epoll of Linux", runtime.GOOS, errors.ErrUnsupported)
}

// Run returns an error that matches errors.ErrUnsupported.
func (e *Echo) Run(context.Context) (Result, error) {
	return Result{}, errors.Join(e.validate(), unsupported())
}

// Run returns an error that matches errors.ErrUnsupported.
func (c *Connect) Run(context.Context) (Result, error) {
	return Result{}, errors.Join(c.validate(), unsupported())
}

// Run returns an error that matches errors.ErrUnsupported.
func (l *Idle) Run(context.Context) error {
	return errors.Join(l.validate(), unsupported())
}
