"""costlayer: the output activation and the cost of a neural network as one layer."""

from costlayer.catalogue import pair as pair
from costlayer.catalogue import pairs as pairs
from costlayer.choose import Advice as Advice
from costlayer.choose import choose as choose
from costlayer.constant import constant as constant
from costlayer.engines.cpu import set_threads as set_threads
from costlayer.numpy import curvature as curvature
from costlayer.numpy import predict as predict
from costlayer.numpy import value as value
from costlayer.numpy import value_and_delta as value_and_delta
from costlayer.pair import Activation as Activation
from costlayer.pair import Cost as Cost
from costlayer.pair import Interval as Interval
from costlayer.pair import Pair as Pair
from costlayer.pair import Parameter as Parameter
from costlayer.register import register as register
