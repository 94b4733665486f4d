/** The parts of jstat that Vitro uses. */
declare module 'jstat' {
  interface JStat {
    studentt: {
      cdf(x: number, dof: number): number;
      /** quantile */
      inv(p: number, dof: number): number;
    };
    /** quantile */
    beta: { inv(p: number, alpha: number, beta: number): number };
    normal: { inv(p: number, mean: number, sd: number): number };
    noncentralt: { cdf(x: number, dof: number, noncentrality: number): number };
  }
  const jstat: { readonly jStat: JStat };
  export default jstat;
}
