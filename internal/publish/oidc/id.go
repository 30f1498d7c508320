package oidc

import (
	"fmt"
	"io"
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// newID returns the name of a publisher: an account that nobody can register, and never the same twice.
func (s *Service) newID() (string, error) {
	id := make([]byte, 0, 14)
	buf := make([]byte, 14)
	for {
		if _, err := io.ReadFull(s.Random, buf); err != nil {
			return "", fmt.Errorf("read random bytes: %w", err)
		}
		for _, b := range buf {
			if b < 248 && len(id) < cap(id) { // 4 × 62: each character is as likely as any other
				id = append(id, base62[b%62])
			}
		}
		if len(id) == cap(id) {
			return "tp_" + string(id), nil
		}
	}
}
