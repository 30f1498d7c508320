package cli

import (
	"fmt"
	"time"

	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/upstream"
)

// readUpstreams reads the values of --upstream and the file of --upstreams, whose order comes first.
func readUpstreams(c *app.Config, file string, values []string) (err error) {
	if file != "" {
		if c.Upstreams, err = upstream.Load(file); err != nil {
			return err
		}
	}
	for _, v := range values {
		one, err := upstream.ParseSource(v)
		if err != nil {
			return err
		}
		c.Upstreams.Sources = append(c.Upstreams.Sources, one)
	}
	return nil
}

// ageFlag is a duration of which 0 means off, which the configuration writes as a negative one. Its default is the
// configuration's.
type ageFlag struct{ age *time.Duration }

// String implements pflag.Value.
func (f *ageFlag) String() string { return registry.DefaultCooldown.String() }

// Type implements pflag.Value.
func (f *ageFlag) Type() string { return "age" }

// Set implements pflag.Value.
func (f *ageFlag) Set(s string) error {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil || d < 0:
		return fmt.Errorf("%q is not an age like 72h", s)
	case d == 0:
		d = -1
	}
	*f.age = d
	return nil
}
