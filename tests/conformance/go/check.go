package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/formancehq/formance-sdk-go/v3/pkg/models/sdkerrors"
)

const (
	patience = 20 * time.Second
	pause    = 20 * time.Millisecond
)

// equal compares by encoded value: pointers and times are equal when what they say is.
func equal(what string, got, want any) error {
	gotText, wantText := encoded(got), encoded(want)
	if gotText != wantText {
		return fmt.Errorf("%s: got %s, want %s", what, gotText, wantText)
	}
	return nil
}

func holds(what string, isTrue bool) error {
	if !isTrue {
		return errors.New("not so: " + what)
	}
	return nil
}

func encoded(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprintf("%#v (%v)", value, err)
	}
	return string(text)
}

// refused wants the declared error with this code, decoded by the SDK.
func refused(what string, code sdkerrors.ErrorCode, err error) error {
	var declared *sdkerrors.Error
	if !errors.As(err, &declared) {
		return fmt.Errorf("%s: want %s, got %T: %v", what, code, err, err)
	}
	return errors.Join(
		equal(what, declared.ErrorCode, code),
		holds(what+": has a message", declared.ErrorMessage != ""),
	)
}

func until(what string, isSo func() (bool, error)) error {
	deadline := time.Now().Add(patience)
	for {
		isTrue, err := isSo()
		if isTrue || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: %s", patience, what)
		}
		time.Sleep(pause)
	}
}
