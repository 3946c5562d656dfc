"""Errors keep their text wherever they are made anew."""

import pickle

from costlayer.errors import InvalidValue


def test_an_error_is_made_anew_from_its_parts_or_from_its_message():
    error = InvalidValue("y", "-1", "a class", "Count from 0.")
    assert str(error) == "y: got -1; expected a class. Count from 0."
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    again = type(error)(str(error))  # as Keras does
    assert str(again) == str(pickle.loads(pickle.dumps(again))) == str(error)
