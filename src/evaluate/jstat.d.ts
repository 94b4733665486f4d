/** The parts of jstat that Vitro uses. */
declare module 'jstat' {
  export const jStat: {
    studentt: {
      cdf(x: number, dof: number): number;
      /** quantile */
      inv(p: number, dof: number): number;
    };
    noncentralt: { cdf(x: number, dof: number, noncentrality: number): number };
  };
}
