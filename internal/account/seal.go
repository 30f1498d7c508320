package account

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/hullmark/hullmark/internal/fault"
)

// seal encrypts a secret that must be read again (AES-256-GCM, random nonce). about binds it to the
// row that it is for: one account's sealed secret does not open in another's row.
func (s *Service) seal(about string, secret []byte) (string, error) {
	if s.sealer == nil {
		return "", fault.New(fault.Unavailable, "seal-key-missing",
			"this server has no key to seal secrets with, so no authenticator app can be enrolled; use a passkey, or ask the operator")
	}
	nonce := make([]byte, s.sealer.NonceSize())
	if err := s.random(nonce); err != nil {
		return "", err
	}
	return base64.RawStdEncoding.EncodeToString(s.sealer.Seal(nonce, nonce, secret, []byte(about))), nil
}

// unseal opens what seal made under the same key and for the same row.
func (s *Service) unseal(about, sealed string) ([]byte, error) {
	raw, err := base64.RawStdEncoding.DecodeString(sealed)
	if err != nil || s.sealer == nil || len(raw) < s.sealer.NonceSize() {
		return nil, fmt.Errorf("open a sealed secret: %w", errors.Join(err, errors.New("no key, or not sealed")))
	}
	nonce, text := raw[:s.sealer.NonceSize()], raw[s.sealer.NonceSize():]
	secret, err := s.sealer.Open(nil, nonce, text, []byte(about))
	if err != nil {
		return nil, fmt.Errorf("open a sealed secret: %w", err)
	}
	return secret, nil
}
