"""What a served network answers: a graph from the bytes of files to decisions."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from trainer.export import decoding, fitting, uniform
from trainer.export.metadata import input_names
from trainer.judge.ensemble import Ensemble
from trainer.metrics.operating_points import CHOSEN
from trainer.models import attribution, layer_outputs, views
from trainer.models.inputs import images_to_float, repeat_channels
from trainer.training.trained_model import with_features

Answer = dict[str, tf.Tensor]


class ServingGraph(tf.Module):
    """Functions for the signatures of a SavedModel; none needs this package to run.

    Each answers for n images with {probability, calibrated, decision, label}, [n, K] each: float32,
    float32, int32 (1 where the label is decided for, at the threshold that validation chose), and
    the labels' names.

    Args:
      ensemble: the runs that are served as one network.
    """

    def __init__(self, ensemble: Ensemble):
        super().__init__(name="radiograph")
        self._ensemble = ensemble
        self._models = [member.model for member in ensemble.members]
        self._weights = [v.value for model in self._models for v in model.variables]

    def signatures(self) -> dict[str, tf.types.experimental.GenericFunction]:
        """Returns the functions by the names of their signatures."""
        files = tf.TensorSpec([None], tf.string, name="image_bytes")
        pixels = tf.TensorSpec([None, None, None, 1], tf.uint8, name="pixels")
        fitted = self._fitted_inputs()
        return {
            name: tf.function(answer, input_signature=inputs)
            for name, answer, inputs in (
                ("serving_default", self.answer_files, [files]),
                ("pixels", self.answer_pixels, [pixels]),
                ("fitted", self.answer_fitted, fitted),
                ("features", self.answer_features, fitted),
                ("explain", self.explain_files, [files]),
                ("explain_fitted", self.explain_fitted, fitted[:1]),
            )
        }

    def of_numbers(self) -> tf.types.experimental.GenericFunction:
        """Returns what answers for fitted images with probability and calibrated alone.

        It holds no text and no decoding, which other programs than TensorFlow cannot run.
        """

        def answer(*fitted: tf.Tensor) -> Answer:
            found = self.answer_fitted(*fitted)
            return {name: found[name] for name in ("probability", "calibrated")}

        return tf.function(answer, input_signature=self._fitted_inputs())

    def answer_files(self, image_bytes: tf.Tensor) -> Answer:
        """Answers for the bytes of JPEG or PNG files, [n] string."""
        return self._answer(self._fitted_files(image_bytes))

    def answer_pixels(self, pixels: tf.Tensor) -> Answer:
        """Answers for grey images of one size, [n, H, W, 1] uint8, as decoded from files."""
        side = self._ensemble.decoding.max_side

        def fit(image: tf.Tensor) -> tuple[tf.Tensor, ...]:
            return self._fit(decoding.not_blank(decoding.shrunk(image[..., 0], side)))

        return self._answer(tf.map_fn(fit, pixels, fn_output_signature=self._fitted_types()))

    def answer_fitted(self, *fitted: tf.Tensor) -> Answer:
        """Answers for images that are fitted already, [n, S, S, 1] uint8, to each square."""
        return self._answer([image[..., 0] for image in fitted])

    def answer_features(self, *fitted: tf.Tensor) -> Answer:
        """Answers as `answer_fitted`, and returns more, of the same pass through the networks.

        That is log_odds, [n, K] float32, not calibrated, and features, [n, d] float32: what the
        last layer of the first run takes.
        """
        squares = [image[..., 0] for image in fitted]
        logits, features = views.answer_and_features(
            with_features(self._models[0]), self._inputs(squares, 0), self._views(0)
        )
        answer, log_odds = self._combined([logits, *self._outputs(squares, 1)])
        return answer | {"log_odds": log_odds, "features": features}

    def explain_files(self, image_bytes: tf.Tensor) -> Answer:
        """Returns {evidence: [n, K, h, w] float32}, Grad-CAM of the first run, not normalised.

        Selvaraju et al., arXiv:1610.02391; see `trainer.models.attribution.grad_cam`.
        """
        return self._explain(self._fitted_files(image_bytes)[0])

    def explain_fitted(self, fitted: tf.Tensor) -> Answer:
        """Explains images that are fitted already to the first run's square."""
        return self._explain(fitted[..., 0])

    def _explain(self, square: tf.Tensor) -> Answer:
        model = self._models[0]
        inputs = self._inputs([square], 0)
        layer = model.get_layer(layer_outputs.stages(model)[-1]).output
        watched = keras.Model(model.inputs[0], [layer, model.outputs[0]])
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            features, logits = watched(inputs, training=False)
            explained = tf.unstack(logits, len(self._ensemble.labels), axis=1)
        maps = [
            attribution.weighted_sum(features, tape.gradient(logit, features))
            for logit in explained
        ]
        return {"evidence": tf.stack(maps, axis=1)}

    def _fitted_files(self, image_bytes: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Returns files as each of the ensemble's squares, [n, S, S] uint8."""
        side = self._ensemble.decoding.max_side

        def decode(data: tf.Tensor) -> tuple[tf.Tensor, ...]:
            return self._fit(decoding.decode(data, side))

        return tf.map_fn(decode, image_bytes, fn_output_signature=self._fitted_types())

    def _fit(self, image: tf.Tensor) -> tuple[tf.Tensor, ...]:
        if self._ensemble.decoding.uniform:
            image = uniform.uniform(image, self._ensemble.decoding.max_side)
        return tuple(fitting.fit(image, fit.image_size, fit.mode) for fit in self._ensemble.fits)

    def _fitted_inputs(self) -> list[tf.TensorSpec]:
        return [
            tf.TensorSpec([None, fit.image_size, fit.image_size, 1], tf.uint8, name=name)
            for name, fit in zip(
                input_names(len(self._ensemble.fits)), self._ensemble.fits, strict=True
            )
        ]

    def _fitted_types(self) -> tuple[tf.TensorSpec, ...]:
        sides = [fit.image_size for fit in self._ensemble.fits]
        return tuple(tf.TensorSpec([side, side], tf.uint8) for side in sides)

    def _inputs(self, fitted: Sequence[tf.Tensor], number: int) -> tf.Tensor:
        """Returns what the network of a member takes, [n, S, S, C] float32."""
        config = self._ensemble.members[number].config
        fit = self._ensemble.fits.index((config.data.image_size, config.data.fit))
        images = images_to_float(fitted[fit][..., tf.newaxis])
        return repeat_channels(images, config.model.channels)

    def _answer(self, fitted: Sequence[tf.Tensor]) -> Answer:
        return self._combined(self._outputs(fitted))[0]

    def _outputs(self, fitted: Sequence[tf.Tensor], first: int = 0) -> list[tf.Tensor]:
        """Returns what each network from the first on gives, [n, K]."""
        return [
            views.answer(self._models[number], self._inputs(fitted, number), self._views(number))
            for number in range(first, len(self._models))
        ]

    def _views(self, number: int) -> int:
        """Returns how many views of an image the network of a member answers by."""
        return self._ensemble.members[number].config.model.views

    def _combined(self, outputs: Sequence[tf.Tensor]) -> tuple[Answer, tf.Tensor]:
        """Returns the answer that the networks give together, and its log-odds."""
        ensemble = self._ensemble
        each = [_log_odds(output, self._exclusive) for output in outputs]
        log_odds = each[0]
        if len(each) > 1:
            temperatures = [member.temperatures for member in ensemble.members]
            log_odds = self._mean(
                [self._calibrated(*pair) for pair in zip(each, temperatures, strict=True)]
            )
        calibrated = self._calibrated(log_odds, ensemble.points.temperatures)
        if self._exclusive:
            decision = tf.one_hot(tf.argmax(log_odds, 1), len(ensemble.labels), dtype=tf.int32)
        else:
            thresholds = tf.constant(ensemble.points.thresholds[CHOSEN], tf.float64)
            decision = tf.cast(tf.cast(log_odds, tf.float64) >= thresholds, tf.int32)
        names = tf.constant([ensemble.labels])
        answer = {
            "probability": tf.sigmoid(log_odds),
            "calibrated": tf.sigmoid(calibrated),
            "decision": decision,
            "label": tf.tile(names, [tf.shape(log_odds)[0], 1]),
        }
        return answer, log_odds

    @property
    def _exclusive(self) -> bool:
        return self._ensemble.outputs.exclusive

    def _calibrated(self, log_odds: tf.Tensor, temperatures: Sequence[float]) -> tf.Tensor:
        if self._exclusive:
            return _log_odds(tf.math.log_sigmoid(log_odds) / temperatures[0], True)
        return log_odds / tf.constant(temperatures, tf.float32)

    def _mean(self, calibrated: Sequence[tf.Tensor]) -> tf.Tensor:
        if self._exclusive:
            logs = [tf.math.log_sigmoid(one) for one in calibrated]
            return _log_odds(tf.reduce_mean(tf.stack(logs), 0), True)
        return tf.reduce_mean(tf.stack(calibrated), 0)


def _log_odds(outputs: tf.Tensor, exclusive: bool) -> tf.Tensor:
    """Returns the log-odds of each label, as `trainer.metrics.outputs` does: [n, K] float32."""
    if not exclusive:
        return outputs
    columns = tf.unstack(outputs, axis=1)
    others = [
        tf.reduce_logsumexp(tf.stack(columns[:k] + columns[k + 1 :], 1), axis=1)
        for k in range(len(columns))
    ]
    return outputs - tf.stack(others, 1)
