package oidc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
)

// What a token may say at most. The largest that a provider is known to send has some forty claims.
const (
	maxClaims     = 256
	maxClaimDepth = 5
	maxClaimValue = 4 << 10 // bytes
	maxClaimList  = 100
)

// Claims are what a token says. A nested object is flattened: the name of a Kubernetes namespace is
// "kubernetes.io/namespace".
type Claims struct {
	values map[string]value
	lists  map[string][]string
}

// value is a claim that is not a list.
type value struct {
	text   string
	number bool
}

// ParseClaims reads the payload of a token. It refuses what two readers could understand in two ways: a
// name that comes twice, also by flattening, and anything behind the object.
func ParseClaims(payload []byte) (Claims, error) {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	c := Claims{values: map[string]value{}, lists: map[string][]string{}}
	start, err := d.Token()
	if err != nil {
		return Claims{}, err
	}
	if start != json.Delim('{') {
		return Claims{}, errors.New("the claims are not an object")
	}
	if err := c.object(d, "", 1); err != nil {
		return Claims{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Claims{}, errors.New("something follows the claims")
	}
	return c, nil
}

// object reads what follows an opening brace. Its own repeated names are refused, and so are those that
// flattening makes equal.
func (c *Claims) object(d *json.Decoder, prefix string, depth int) error {
	if depth > maxClaimDepth {
		return errors.New("the claims are nested too deeply")
	}
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		name := prefix + key.(string) // the decoder yields nothing else here
		if seen[name] {
			return fmt.Errorf("the claim %q comes twice", clip(name))
		}
		seen[name] = true
		if err := c.member(d, name, depth); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

func (c *Claims) member(d *json.Decoder, name string, depth int) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	switch t {
	case json.Delim('{'):
		return c.object(d, name+"/", depth+1)
	case json.Delim('['):
		return c.list(d, name, depth)
	case nil:
		return nil // a claim that is null is not there
	}
	v, err := scalar(t)
	if err != nil {
		return fmt.Errorf("the claim %q: %w", clip(name), err)
	}
	return c.put(name, v)
}

func (c *Claims) put(name string, v value) error {
	_, taken := c.values[name]
	_, listed := c.lists[name]
	switch {
	case taken || listed:
		return fmt.Errorf("the claim %q comes twice", clip(name))
	case len(c.values)+len(c.lists) >= maxClaims:
		return fmt.Errorf("there are more than %d claims", maxClaims)
	}
	c.values[name] = v
	return nil
}

// list keeps a list of plain values. One that holds anything else is skipped: nothing is compared with it.
func (c *Claims) list(d *json.Decoder, name string, depth int) error {
	items := []string{}
	plain := true
	for d.More() {
		if len(items) >= maxClaimList {
			return fmt.Errorf("the claim %q lists more than %d values", clip(name), maxClaimList)
		}
		t, err := d.Token()
		if err != nil {
			return err
		}
		if t == json.Delim('{') || t == json.Delim('[') {
			plain = false
			if err := skip(d, depth+1); err != nil {
				return err
			}
			items = append(items, "")
			continue
		}
		v, err := scalar(t)
		if err != nil {
			return fmt.Errorf("the claim %q: %w", clip(name), err)
		}
		items = append(items, v.text)
	}
	if _, err := d.Token(); err != nil {
		return err
	}
	if err := c.put(name, value{}); err != nil {
		return err
	}
	delete(c.values, name)
	if plain {
		c.lists[name] = items
	}
	return nil
}

// skip reads to the end of the object or list that was just opened.
func skip(d *json.Decoder, depth int) error {
	if depth > maxClaimDepth {
		return errors.New("the claims are nested too deeply")
	}
	for open := 1; open > 0; {
		t, err := d.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			open++
		case json.Delim('}'), json.Delim(']'):
			open--
		}
		if open+depth > maxClaimDepth+1 {
			return errors.New("the claims are nested too deeply")
		}
	}
	return nil
}

func scalar(t json.Token) (value, error) {
	var v value
	switch x := t.(type) {
	case string:
		v.text = x
	case bool:
		v.text = fmt.Sprint(x)
	case json.Number:
		v = value{text: x.String(), number: true}
	case nil:
	}
	if len(v.text) > maxClaimValue {
		return value{}, fmt.Errorf("its value is longer than %d bytes", maxClaimValue)
	}
	if strings.ContainsFunc(v.text, unicode.IsControl) {
		return value{}, errors.New("its value has a control character")
	}
	return v, nil
}

// Text returns a claim that is a string, a number or a truth value; empty when it is not there.
func (c Claims) Text(name string) string { return c.values[name].text }

// List returns a claim that is a list of plain values; nil when it is none.
func (c Claims) List(name string) []string { return c.lists[name] }

// seconds returns a time claim (RFC 7519, NumericDate); ok is false when there is none, and an error says
// that it is not a number or none that a clock shows.
func (c Claims) seconds(name string) (t time.Time, ok bool, err error) {
	v, ok := c.values[name]
	if !ok {
		if _, listed := c.lists[name]; listed {
			return t, false, fmt.Errorf("the claim %s is not a number", name)
		}
		return t, false, nil
	}
	f, err := json.Number(v.text).Float64()
	if err != nil || !v.number || f < 0 || f > 1<<40 {
		return t, false, fmt.Errorf("the claim %s is not a time in seconds", name)
	}
	return time.UnixMilli(int64(f * 1000)).UTC(), true, nil
}

// clip bounds what a message repeats of foreign text.
func clip(s string) string { return s[:min(len(s), 200)] }
