package authnjwt

import (
	"context"
	"log/slog"

	"github.com/hauberk-rpc/hauberk/internal/reload"
)

// open reads a file of a limited size, and calls apply with its content and with each later one, in their order. The
// file is closed with the validator.
func open[T any](
	v *Validator, what, path string, limit int64, parse func([]byte) (T, error), apply func(T),
) (*reload.File[T], error) {
	file, err := reload.Open(path, parse, apply, reload.Settings{Failed: v.logFailed(what), MaxBytes: limit})
	if err != nil {
		return nil, err
	}
	v.close = append(v.close, file.Close)
	return file, nil
}

// logFailed returns a function that logs why a file could not be read, or that it is good again.
func (v *Validator) logFailed(what string) func(error) {
	return func(err error) {
		log := v.logger.With(slog.String("issuer", v.config.Issuer), slog.String("content", what))
		if err == nil {
			log.LogAttrs(context.Background(), slog.LevelInfo, "authnjwt: a file is good again")
			return
		}
		log.LogAttrs(context.Background(), slog.LevelWarn,
			"authnjwt: a file is not good; its last good content remains in force", slog.String("error", err.Error()))
	}
}
