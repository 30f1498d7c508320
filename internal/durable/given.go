package durable

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// GivenSecret returns the secret in a file that an operator wrote, without the white space around it. It
// fails when the file is missing, empty, or may be read by others (code key-exposed).
func GivenSecret(file string) (string, error) {
	raw, err := Secret(file, func() ([]byte, error) { return nil, errors.New("there is no such file") })
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(raw))
	if secret == "" {
		return "", fmt.Errorf("%s is empty", filepath.Base(file))
	}
	return secret, nil
}
