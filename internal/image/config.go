package image

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
)

// MaxConfig is the longest image configuration that is read, in bytes.
const MaxConfig = 8 << 20

// maxLayers is the most layers that an image may have here; overlayfs takes 500.
const maxLayers = 1000

// Config is the part of an image configuration that the record needs.
// Source: OCI image-spec 1.1, config.md; Docker's image.v1+json is the same here.
type Config struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
	RootFS       struct {
		DiffIDs []digest.Digest `json:"diff_ids"`
	} `json:"rootfs"`
	History []struct {
		CreatedBy  string `json:"created_by"`
		EmptyLayer bool   `json:"empty_layer"`
	} `json:"history"`

	run runConfig
}

// runConfig is how the image runs.
type runConfig struct {
	User         string
	ExposedPorts map[string]any
	Env          []string
	Entrypoint   []string
	Cmd          []string
	Volumes      map[string]any
	WorkingDir   string
	StopSignal   string
}

// ParseConfig reads an image configuration. It fails with code image-config-malformed.
func ParseConfig(raw []byte) (*Config, error) {
	c := new(Config)
	if len(raw) > MaxConfig {
		return nil, configMalformed("it is longer than is read")
	}
	if err := json.Unmarshal(raw, c); err != nil {
		return nil, configMalformed("it is not JSON of that kind").Because(err)
	}
	if len(c.RootFS.DiffIDs) > maxLayers {
		return nil, configMalformed("it names too many layers")
	}
	for _, d := range c.RootFS.DiffIDs {
		if _, err := digest.Parse(string(d)); err != nil {
			return nil, configMalformed("a diff_id in it is not a digest").Because(err)
		}
	}
	var with struct{ Config runConfig }
	if json.Unmarshal(raw, &with) == nil { // old builders wrote other types here: then nothing is known of it
		c.run = with.Config
	}
	return c, nil
}

const (
	maxSetting      = 512 // bytes
	maxSettingNames = 100
)

// Settings are how the image runs, by the name of the setting. Of its environment there are only the names:
// values can be secrets.
func (c *Config) Settings() map[string]string {
	out := map[string]string{}
	put := func(name, value string) {
		if len(value) > maxSetting {
			value = strings.ToValidUTF8(value[:maxSetting], "") + "…"
		}
		if value != "" {
			out[name] = value
		}
	}
	var env []string
	for _, one := range c.run.Env[:min(len(c.run.Env), maxSettingNames)] {
		name, _, _ := strings.Cut(one, "=")
		env = append(env, name)
	}
	slices.Sort(env)
	put("entrypoint", quoted(c.run.Entrypoint))
	put("cmd", quoted(c.run.Cmd))
	put("user", c.run.User)
	put("working directory", c.run.WorkingDir)
	put("stop signal", c.run.StopSignal)
	put("environment", strings.Join(env, " "))
	put("ports", strings.Join(slices.Sorted(maps.Keys(c.run.ExposedPorts)), " "))
	put("volumes", strings.Join(slices.Sorted(maps.Keys(c.run.Volumes)), " "))
	return out
}

// quoted is an argument list as text in which each argument can be told from the next.
func quoted(args []string) string {
	if len(args) == 0 {
		return ""
	}
	raw, err := json.Marshal(args)
	if err != nil {
		return "" // strings: it cannot
	}
	return string(raw)
}

func configMalformed(why string) *fault.Error {
	return fault.New(fault.Invalid, "image-config-malformed", "the image's configuration cannot be read: %s; build the image again", why)
}

// Instructions returns the instruction that made each layer, lowest first, as the history tells.
// Where the history does not match the layers, the instructions are empty: a wrong one misleads.
func (c *Config) Instructions() []string {
	out := make([]string, len(c.RootFS.DiffIDs))
	at := 0
	for _, h := range c.History {
		if h.EmptyLayer {
			continue
		}
		if at < len(out) {
			out[at] = tidy(h.CreatedBy)
		}
		at++
	}
	if at != len(out) {
		clear(out)
	}
	return out
}

// maxInstruction is the longest instruction that is kept, in bytes: heredocs can be pages.
const maxInstruction = 1024

// tidy removes what builders put around an instruction.
func tidy(s string) string {
	s = strings.TrimSuffix(strings.TrimSpace(s), " # buildkit")
	if rest, ok := strings.CutPrefix(s, "/bin/sh -c #(nop) "); ok {
		s = strings.TrimSpace(rest)
	} else if rest, ok := strings.CutPrefix(s, "/bin/sh -c "); ok {
		s = "RUN " + rest
	}
	if len(s) > maxInstruction {
		s = strings.ToValidUTF8(s[:maxInstruction], "") + "…"
	}
	return s
}

// Platform returns "os/architecture[/variant]", or "" when the configuration names none.
func (c *Config) Platform() string {
	if c.OS == "" || c.Architecture == "" {
		return ""
	}
	p := c.OS + "/" + c.Architecture
	if c.Variant != "" {
		p += "/" + c.Variant
	}
	return p
}
