package cli

import (
	"github.com/hullmark/hullmark/internal/app"
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
