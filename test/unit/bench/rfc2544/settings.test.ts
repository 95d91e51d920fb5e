// rfc2544/settings.test.ts — presets, what options change, and which of them are refused.

import { describe, expect, test } from 'vitest';
import { averageSize, frameMix, gigabits, lineRate } from '../../../../bench/rfc2544/frames.ts';
import { settingsOf } from '../../../../bench/rfc2544/settings.ts';

const common = { quick: false, rounds: undefined, seconds: undefined, flows: undefined };

describe('settings', () => {
  test('the preset paper is what the paper says', () => {
    const paper = settingsOf({ preset: 'paper' }, common);
    expect(paper).toMatchObject({ rounds: 5, seconds: 180, resolution: 0.001, losses: [0.01] });
    expect(paper.frames.map(({ name }) => name)).toEqual(['64', '1518', 'paper']);
    expect(paper.directions).toEqual(['both']);
    expect(paper.scenarios.length).toBe(4);
  });

  test('options change single things of a preset', () => {
    const wanted = { preset: 'paper', frames: '256,imix', loss: '1,0,0.5', resolution: '0.2' };
    const settings = settingsOf(wanted, { ...common, rounds: 2, seconds: 1, flows: 100 });
    expect(settings.frames.map(({ name }) => name)).toEqual(['256', 'imix']);
    expect(settings.losses).toEqual([0, 0.005, 0.01]);
    expect(settings).toMatchObject({ resolution: 0.002, rounds: 2, seconds: 1, flows: 100 });
    expect(settings.firstSeconds).toBe(1);
    expect(settings.warmUpSeconds).toBe(5);
  });

  test('--quick is the preset quick unless another is named', () => {
    expect(settingsOf({}, { ...common, quick: true }).preset).toBe('quick');
    expect(settingsOf({ preset: 'paper' }, { ...common, quick: true }).preset).toBe('paper');
    expect(settingsOf({}, common).preset).toBe('standard');
  });

  test.each([
    [{ preset: 'fast' }, '--preset fast: no fast; there are quick, standard, full, paper'],
    [{ frames: '64,63' }, 'no frames 63: wants a size from 64 to 9216, or one of imix, paper'],
    [{ scenario: 'here' }, '--scenario here: no here; there are same-host-same-subnet'],
    [{ direction: 'up' }, '--direction up: no up; there are forward, both'],
    [{ methods: 'speed' }, '--methods speed: no speed; there are throughput, loss'],
    [{ loss: '0,x' }, '--loss 0,x: wants numbers from 0 to 50'],
    [{ loss: '' }, '--loss : wants numbers from 0 to 50'],
    [{ resolution: '0' }, '--resolution 0: wants numbers from 0.001 to 50'],
    [{ 'line-rate': '-1' }, '--line-rate -1: wants numbers from 0.001 to 10000'],
  ])('%j is refused', (wanted, message) => {
    expect(() => settingsOf(wanted, common)).toThrow(message);
  });
});

describe('frames', () => {
  test('mixes have the averages that they are known for', () => {
    expect(averageSize(frameMix('imix'))).toBeCloseTo(361.83, 2);
    expect(averageSize(frameMix('paper'))).toBeCloseTo(353.83, 2);
  });

  test('a line of 10 Gbit/s carries 14.88 million of the smallest frames', () => {
    const rate = lineRate(frameMix('64'), 10);
    expect(Math.floor(rate)).toBe(14_880_952);
    expect(gigabits(frameMix('64'), rate)).toBeCloseTo(7.62, 2);
    expect(Math.floor(lineRate(frameMix('1518'), 10))).toBe(812_743);
  });
});
